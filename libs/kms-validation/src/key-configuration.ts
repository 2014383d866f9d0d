import {
  keyConfigurationAttentionNeeded,
  keyConfigurationInvalidated,
  keyConfigurationReachable,
  keyConfigurationRemoved,
  keyConfigurationSaved,
  keyConfigurationUnreachable,
  keyConfigurationValidated,
  type EnforcementMode,
  type EventDefinition,
  type Evidence,
  type KeyConfigurationState,
  type ValidityState,
} from '@atrest/contracts';
import type { Canary, KeyContext } from '@atrest/kms';
import type { AwsKmsSettings } from './aws-kms-settings.js';
import { provenValidity, validityTransitions, type Decision, type Validity, type ValidityEvent } from './validity-policy.js';

/**
 * A project's settings for one provider, with what is known about the key. It exists only while encryption at rest is on: it is
 * created with a proof, and its removal deletes it with its credentials.
 */
export interface KeyConfiguration {
  readonly id: string;
  readonly projectId: string;
  readonly provider: 'AWS';
  readonly mode: EnforcementMode;
  readonly settings: AwsKmsSettings;
  /** Credentials, sealed for this configuration ({@link sealingContext}). */
  readonly sealedCredentials: string;
  readonly canary: Canary;
  readonly validity: Validity;
  readonly lastWrapProofAt: Date;
  readonly nextCheckAt: Date;
  /** Grows with every published event and every change of settings; what was learnt about an older revision is never applied to a newer one. */
  readonly revision: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** Credentials as they are sealed. */
export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
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

type ConfigurationEvent = ValidityEvent | { readonly kind: 'saved' } | { readonly kind: 'removed' };

const DEFINITIONS: Readonly<Record<ConfigurationEvent['kind'], EventDefinition<KeyConfigurationState>>> = {
  saved: keyConfigurationSaved,
  removed: keyConfigurationRemoved,
  invalidated: keyConfigurationInvalidated,
  validated: keyConfigurationValidated,
  'became-unreachable': keyConfigurationUnreachable,
  'became-reachable': keyConfigurationReachable,
  'attention-needed': keyConfigurationAttentionNeeded,
};

/** What the sealed credentials are bound to: a blob copied to another row does not open there. */
export const sealingContext = (configurationId: string): string => `key-configuration/${configurationId}`;

/** What the canary is bound to. */
export const canaryContext = (projectId: string): KeyContext => ({ projectId, purpose: 'canary' });

/** What a proof of new settings gave. */
export interface ProvenSettings {
  readonly settings: AwsKmsSettings;
  readonly sealedCredentials: string;
  readonly canary: Canary;
  readonly evidence: Evidence;
  readonly nextCheckAt: Date;
}

export function createConfiguration(id: string, projectId: string, proven: ProvenSettings, now: Date): Changed {
  const { evidence, ...settings } = proven;
  const configuration: KeyConfiguration = {
    id,
    projectId,
    provider: 'AWS',
    mode: 'enforce',
    ...settings,
    validity: provenValidity(evidence, now),
    lastWrapProofAt: now,
    revision: 0,
    createdAt: now,
    updatedAt: now,
  };
  return publish(configuration, [{ kind: 'saved' }]);
}

/** New settings or credentials, proven usable just now: whatever was wrong before is over. */
export function replaceSettings(current: KeyConfiguration, proven: ProvenSettings, now: Date): Changed {
  const { evidence, ...settings } = proven;
  const { state, since, unreachableAnnounced } = current.validity;
  const validity = provenValidity(evidence, now);
  const configuration: KeyConfiguration = {
    ...current,
    ...settings,
    validity: { ...validity, since: state === 'VALID' ? since : now },
    lastWrapProofAt: now,
    updatedAt: now,
  };
  const events: ConfigurationEvent[] = [{ kind: 'saved' }];
  if (unreachableAnnounced) events.push({ kind: 'became-reachable' });
  if (state === 'INVALID') events.push({ kind: 'validated' });
  return publish(configuration, events);
}

/** What the event says when encryption at rest is turned off for the provider, or its project is deleted. */
export function removeConfiguration(current: KeyConfiguration): Changed {
  return publish(current, [{ kind: 'removed' }]);
}

/** Takes over what the policy decided on a check. */
export function applyDecision(current: KeyConfiguration, decision: Decision, wrapProvenAt: Date | null): Changed {
  const configuration: KeyConfiguration = {
    ...current,
    validity: decision.validity,
    nextCheckAt: decision.nextCheckAt,
    lastWrapProofAt: wrapProvenAt ?? current.lastWrapProofAt,
  };
  return publish(configuration, decision.events);
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
      data: event.kind === 'attention-needed' ? { ...state, attention: event.attention } : state,
    };
  });
  return { configuration: { ...configuration, revision: configuration.revision + events.length }, publications };
}

function toEventState(configuration: KeyConfiguration, revision: number, enabled: boolean): KeyConfigurationState {
  const { validity, settings } = configuration;
  return {
    id: configuration.id,
    projectId: configuration.projectId,
    provider: configuration.provider,
    enabled,
    state: validity.state,
    mode: configuration.mode,
    keyId: settings.customerMasterKeyID,
    resolvedKeyId: configuration.canary.blob.resolvedKeyId,
    region: settings.region,
    evidence: decisiveEvidence(validity),
    invalidSince: validity.state === 'INVALID' ? validity.since.toISOString() : null,
    unreachableSince: validity.unreachableSince?.toISOString() ?? null,
    lastProvenAt: validity.lastProvenAt?.toISOString() ?? null,
    revision,
  };
}

/** The observations that led to the present state: the counted ones, or else the latest. */
export function decisiveEvidence(validity: Validity): Evidence[] {
  if (validity.evidence.length > 0) return [...validity.evidence];
  return validity.lastEvidence === null ? [] : [validity.lastEvidence];
}
