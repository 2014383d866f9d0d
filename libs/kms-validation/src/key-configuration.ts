import {
  keyConfigurationAttentionNeeded,
  keyConfigurationEndApproaching,
  keyConfigurationEndCalledOff,
  keyConfigurationHeld,
  keyConfigurationHoldDecided,
  keyConfigurationHoldEnded,
  keyConfigurationHoldOverdue,
  keyConfigurationInvalidated,
  keyConfigurationPolicyChanged,
  keyConfigurationReachable,
  keyConfigurationRemoved,
  keyConfigurationRotated,
  keyConfigurationRotationDue,
  keyConfigurationSaved,
  keyConfigurationUnreachable,
  keyConfigurationUnreachableEscalated,
  keyConfigurationValidated,
  type EnforcementMode,
  type EventDefinition,
  type Evidence,
  type Hold,
  type KeyConfigurationState,
  type KeyProviderName,
  type ValidityState,
} from '@atrest/contracts';
import type { Canary, KeyContext } from '@atrest/kms';
import { freshProspects, rotationState, type KeyProspects, type ProspectEvent } from './key-prospects.js';
import { bindingOf } from './providers/bindings.js';
import type { ProviderSettings } from './providers/provider-binding.js';
import { provenValidity, validityTransitions, type Decision, type Validity, type ValidityEvent } from './validity-policy.js';

/**
 * A project's settings for one provider, with what is known about the key. It exists only while encryption at rest is on: it is
 * created with a proof, and its removal deletes it with its credentials.
 */
export interface KeyConfiguration {
  readonly id: string;
  readonly projectId: string;
  readonly provider: KeyProviderName;
  readonly mode: EnforcementMode;
  /** What happens to a held shutdown that nobody decides on: carried out, or held on. */
  readonly failClosed: boolean;
  readonly settings: ProviderSettings;
  /** Credentials, sealed for this configuration ({@link sealingContext}). */
  readonly sealedCredentials: string;
  readonly canary: Canary;
  /** Grows with each other customer key: what is wrapped from then on belongs to a new epoch of snapshots. */
  readonly epoch: number;
  /** The key that is checked for this configuration and every other one on the same key with the same credentials. */
  readonly checkedKeyId: string;
  readonly validity: Validity;
  readonly prospects: KeyProspects;
  /** When the key is checked next. */
  readonly nextCheckAt: Date;
  /** Grows with every published event and every change of settings; what was learnt about an older revision is never applied to a newer one. */
  readonly revision: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** An event of this aggregate, ready to be published. */
export interface Publication {
  readonly definition: EventDefinition<KeyConfigurationState>;
  readonly data: KeyConfigurationState;
}

/** A changed configuration and the events to publish in the same transaction. */
export interface Changed {
  readonly configuration: KeyConfiguration;
  readonly publications: readonly Publication[];
}

type ConfigurationEvent = ValidityEvent | ProspectEvent | { readonly kind: 'saved' | 'removed' | 'hold-decided' | 'policy-changed' };

const DEFINITIONS: Readonly<Record<ConfigurationEvent['kind'], EventDefinition<KeyConfigurationState>>> = {
  saved: keyConfigurationSaved,
  removed: keyConfigurationRemoved,
  invalidated: keyConfigurationInvalidated,
  validated: keyConfigurationValidated,
  held: keyConfigurationHeld,
  'hold-decided': keyConfigurationHoldDecided,
  'hold-overdue': keyConfigurationHoldOverdue,
  'hold-ended': keyConfigurationHoldEnded,
  'policy-changed': keyConfigurationPolicyChanged,
  'end-approaching': keyConfigurationEndApproaching,
  'end-called-off': keyConfigurationEndCalledOff,
  'rotation-due': keyConfigurationRotationDue,
  rotated: keyConfigurationRotated,
  'became-unreachable': keyConfigurationUnreachable,
  'unreachable-escalated': keyConfigurationUnreachableEscalated,
  'became-reachable': keyConfigurationReachable,
  'attention-needed': keyConfigurationAttentionNeeded,
};

/** What the sealed credentials are bound to: a blob copied to another row does not open there. */
export const sealingContext = (configurationId: string): string => `key-configuration/${configurationId}`;

/** What the canary is bound to. */
export const canaryContext = (projectId: string): KeyContext => ({ projectId, purpose: 'canary' });

/** What a proof of new settings gave. */
export interface ProvenSettings {
  readonly settings: ProviderSettings;
  readonly sealedCredentials: string;
  readonly checkedKeyId: string;
  readonly canary: Canary;
  readonly evidence: Evidence;
  readonly nextCheckAt: Date;
}

export function createConfiguration(
  identity: Pick<KeyConfiguration, 'id' | 'projectId' | 'provider' | 'mode' | 'failClosed'>,
  proven: ProvenSettings,
  now: Date,
): Changed {
  const { evidence, ...settings } = proven;
  const configuration: KeyConfiguration = {
    ...identity,
    ...settings,
    epoch: 1,
    validity: provenValidity(evidence, now),
    prospects: freshProspects(now),
    revision: 0,
    createdAt: now,
    updatedAt: now,
  };
  return publish(configuration, [{ kind: 'saved' }]);
}

/** New settings or credentials, proven usable just now: whatever was wrong before is over. */
export function replaceSettings(current: KeyConfiguration, proven: ProvenSettings, now: Date, reminderDays: number | null): Changed {
  const { evidence, ...settings } = proven;
  const { state, since, unreachableAlerts } = current.validity;
  const validity = provenValidity(evidence, now);
  const rotated = !sameKey(current.canary, proven.canary);
  const prospects = rotated ? freshProspects(now) : current.prospects;
  const configuration: KeyConfiguration = {
    ...current,
    ...settings,
    prospects,
    epoch: current.epoch + (rotated ? 1 : 0),
    validity: { ...validity, since: state === 'VALID' ? since : now },
    updatedAt: now,
  };
  const events: ConfigurationEvent[] = [{ kind: 'saved' }];
  if (rotated) events.push({ kind: 'rotated', rotation: rotationState(prospects, reminderDays, now) });
  if (unreachableAlerts > 0) events.push({ kind: 'became-reachable' });
  if (state === 'INVALID') events.push({ kind: 'validated' });
  if (state === 'HELD') events.push({ kind: 'hold-ended' });
  return publish(configuration, events);
}

/** Another name for the same key (its ARN in place of an alias) is no other key. */
const sameKey = (a: Canary, b: Canary): boolean => a.blob.resolvedKeyId === b.blob.resolvedKeyId && a.blob.keyVersion === b.blob.keyVersion;

/** Somebody decides on a held shutdown: released, the next definitive verdict carries it out; cancelled, nothing does until the key was usable again. */
export function decideHold(current: KeyConfiguration, decision: 'RELEASED' | 'CANCELLED', decidedBy: string): Changed | null {
  const { validity } = current;
  if (validity.hold === null) return null;
  return publish({ ...current, validity: { ...validity, hold: { ...validity.hold, decision, decidedBy } } }, [{ kind: 'hold-decided' }]);
}

/** The project's policy changed; what is known about the key stays. */
export function changePolicy(current: KeyConfiguration, policy: Pick<KeyConfiguration, 'mode' | 'failClosed'>): Changed {
  return publish({ ...current, ...policy }, [{ kind: 'policy-changed' }]);
}

/** What the event says when encryption at rest is turned off for the provider, or its project is deleted. */
export function removeConfiguration(current: KeyConfiguration): Changed {
  return publish(current, [{ kind: 'removed' }]);
}

/** Takes over what the policy decided on a check. */
export function applyDecision(
  current: KeyConfiguration,
  decision: Decision,
  foreseen: { readonly prospects: KeyProspects; readonly events: readonly ProspectEvent[] },
): Changed {
  const { prospects, events } = foreseen;
  const { validity, nextCheckAt } = decision;
  return publish({ ...current, validity, prospects, nextCheckAt }, [...decision.events, ...events]);
}

/** The states from which the policy may come to this one; a status is written only over one of these. */
export function statesBefore(state: ValidityState): readonly ValidityState[] {
  return [...new Set(validityTransitions.filter((row) => row.to === state).map((row) => row.from))];
}

/** Each event gets a revision of its own, so that a projection that ignores what it has seen never ignores the second of two. */
function publish(configuration: KeyConfiguration, events: readonly ConfigurationEvent[]): Changed {
  const publications = events.map((event, index): Publication => {
    const state = toEventState(configuration, configuration.revision + index + 1, event.kind !== 'removed');
    return {
      definition: DEFINITIONS[event.kind],
      data: { ...state, ...detailsOf(event, configuration.provider) },
    };
  });
  return { configuration: { ...configuration, revision: configuration.revision + events.length }, publications };
}

/** What an event says beside the state. */
function detailsOf(event: ConfigurationEvent, provider: KeyProviderName): Partial<KeyConfigurationState> {
  const details = {
    ...('attention' in event && { attention: event.attention }),
    ...('alertLevel' in event && { alertLevel: event.alertLevel }),
    ...('ending' in event && { ending: event.ending }),
    ...('rotation' in event && { rotation: event.rotation }),
  };
  const name = ATLAS_EVENT_TYPES[event.kind];
  return name === undefined ? details : { ...details, atlasEventType: name(provider) };
}

/** As the Atlas Admin API names what happened; KMIP follows its pattern. */
const ATLAS_EVENT_TYPES: Readonly<Partial<Record<ConfigurationEvent['kind'], (provider: KeyProviderName) => string>>> = {
  saved: () => 'ENCRYPTION_AT_REST_CONFIGURATION_UPDATED',
  invalidated: (provider) => `${provider}_ENCRYPTION_KEY_INVALID`,
  validated: (provider) => `${provider}_ENCRYPTION_KEY_VALID`,
  'became-unreachable': () => 'ENCRYPTION_AT_REST_KMS_NETWORK_ACCESS_DENIED',
  'became-reachable': () => 'ENCRYPTION_AT_REST_KMS_NETWORK_ACCESS_RESTORED',
  'rotation-due': (provider) => `${provider}_ENCRYPTION_KEY_NEEDS_ROTATION`,
  rotated: (provider) => `${provider}_ENCRYPTION_KEY_ROTATED`,
};

function toEventState(configuration: KeyConfiguration, revision: number, enabled: boolean): KeyConfigurationState {
  const { validity } = configuration;
  const hold = holdOf(configuration);
  const { keyId, region } = bindingOf(configuration.provider).keyOf(configuration.settings);
  return {
    id: configuration.id,
    projectId: configuration.projectId,
    provider: configuration.provider,
    enabled,
    state: validity.state,
    mode: configuration.mode,
    keyId,
    resolvedKeyId: configuration.canary.blob.resolvedKeyId,
    region,
    epoch: configuration.epoch,
    evidence: decisiveEvidence(validity),
    invalidSince: validity.state === 'INVALID' ? validity.since.toISOString() : null,
    unreachableSince: validity.unreachableSince?.toISOString() ?? null,
    lastProvenAt: validity.lastProvenAt?.toISOString() ?? null,
    ...(hold !== null && { hold }),
    revision,
  };
}

/** The held shutdown as events and the API show it; null when none is held. */
export function holdOf({ validity: { hold }, failClosed }: KeyConfiguration): Hold | null {
  if (hold === null) return null;
  const { since, until, decision, decidedBy } = hold;
  return { since: since.toISOString(), until: until.toISOString(), atTheEnd: failClosed ? 'STOP' : 'HOLD', decision, decidedBy };
}

/** The observations that led to the present state: the counted ones, or else the latest. */
export function decisiveEvidence(validity: Validity): Evidence[] {
  if (validity.evidence.length > 0) return [...validity.evidence];
  return validity.lastEvidence === null ? [] : [validity.lastEvidence];
}
