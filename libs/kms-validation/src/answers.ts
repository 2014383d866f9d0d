import type { EncryptionAtRest, KeyHistory, KeyValidityStatus } from '@atrest/contracts';
import { EncryptionAtRestSchema } from '@atrest/contracts';
import { atlasTime } from '@atrest/platform-http';
import type { Sample, StateChange } from './check-history.js';
import { decisiveEvidence, holdOf, type KeyConfiguration } from './key-configuration.js';
import type { ValidityPolicy } from './policy-settings.js';
import { bindingOf, providerBindings } from './providers/bindings.js';
import type { ProviderBinding } from './providers/provider-binding.js';
import { secondKeyRole, type SecondKey } from './second-key.js';

/** The configurations of a project as the Atlas Admin API shows them: always every provider, never a secret. */
export function toEncryptionAtRest(configurations: readonly KeyConfiguration[]): EncryptionAtRest {
  const members = providerBindings.map((binding) => {
    const configuration = configurations.find(({ provider }) => provider === binding.provider);
    return [binding.attribute, toProvider(binding, configuration)];
  });
  return EncryptionAtRestSchema.parse({ ...Object.fromEntries(members), enabledForSearchNodes: false });
}

function toProvider({ fields, attribute }: ProviderBinding, configuration: KeyConfiguration | undefined): Record<string, unknown> {
  const shown = Object.fromEntries(fields.map(({ name }) => [name, configuration?.settings[name] ?? null]));
  const shape = EncryptionAtRestSchema.shape[attribute].shape;
  return {
    ...shown,
    ...('requirePrivateNetworking' in shape && { requirePrivateNetworking: configuration === undefined ? null : false }),
    enabled: configuration !== undefined,
    valid: configuration !== undefined && isValid(configuration),
  };
}

/** What is known about the key, and what its second one may do. */
export function toStatus(configuration: KeyConfiguration, policy: ValidityPolicy, second: SecondKey | null): KeyValidityStatus {
  const { validity } = configuration;
  return {
    id: configuration.id,
    provider: configuration.provider,
    state: validity.state,
    valid: isValid(configuration),
    since: atlasTime(validity.since),
    mode: configuration.mode,
    keyId: bindingOf(configuration.provider).keyOf(configuration.settings).keyId,
    resolvedKeyId: configuration.canary.blob.resolvedKeyId,
    confirmations: validity.evidence.length,
    confirmationsNeeded: policy.confirmations,
    evidence: decisiveEvidence(validity),
    lastEvidence: validity.lastEvidence,
    lastProvenAt: validity.lastProvenAt && atlasTime(validity.lastProvenAt),
    unreachableSince: validity.unreachableSince && atlasTime(validity.unreachableSince),
    secondKey: second && toSecondKey(configuration, second),
    hold: holdOf(configuration),
    nextCheckAt: atlasTime(configuration.nextCheckAt),
  };
}

function toSecondKey({ validity }: KeyConfiguration, { provider, configuration }: SecondKey): KeyValidityStatus['secondKey'] {
  const keyId = configuration && bindingOf(provider).keyOf(configuration.settings).keyId;
  return { provider, keyId, role: secondKeyRole(validity, configuration?.validity ?? null) };
}

export function toHistory(changes: readonly StateChange[], samples: readonly Sample[]): KeyHistory {
  return {
    changes: changes.map((change) => ({ ...change, evidence: [...change.evidence], at: atlasTime(change.at) })),
    samples: samples.map(({ evidence, at, checks }) => ({ ...evidence, at: atlasTime(at), checks })),
  };
}

/** A suspicion stops nothing, so only INVALID is not valid. */
const isValid = ({ validity }: KeyConfiguration): boolean => validity.state !== 'INVALID';
