import type { DefinitiveReason, KEY_STANDINGS, KeyProviderName, Restorability } from '@atrest/contracts';
import type { KnownKeyConfiguration } from '../projections/key-configuration-projection.js';

/** A customer key by the name that snapshots show. */
export interface NamedKey {
  readonly provider: KeyProviderName;
  readonly encryptionKeyId: string;
}

export interface KeyStanding {
  readonly kind: (typeof KEY_STANDINGS)[number];
  /** For people; null for a key that is usable. */
  readonly reason: string | null;
  readonly since: Date | null;
}

/** A customer key as snapshots show it: as the provider names it, because an alias may move. */
export const shownKeyId = ({ resolvedKeyId, keyId }: Pick<KnownKeyConfiguration, 'resolvedKeyId' | 'keyId'>): string =>
  resolvedKeyId ?? keyId;

/** The enabled key configuration that names the key; null when none does. */
export function configurationNaming<Configuration extends Pick<KnownKeyConfiguration, 'provider' | 'enabled' | 'resolvedKeyId' | 'keyId'>>(
  key: NamedKey,
  configurations: readonly Configuration[],
): Configuration | null {
  return configurations.find((each) => each.enabled && each.provider === key.provider && shownKeyId(each) === key.encryptionKeyId) ?? null;
}

/** What a definitive reason means for what the key has wrapped. */
const GONE: Readonly<Record<DefinitiveReason, { readonly kind: 'NOT_NOW' | 'NEVER'; readonly reason: string }>> = {
  KEY_DISABLED: { kind: 'NOT_NOW', reason: 'The key is disabled: enable it.' },
  KEY_PENDING_DELETION: { kind: 'NOT_NOW', reason: 'The key is scheduled for deletion: call that off before it is deleted for good.' },
  KEY_PENDING_IMPORT: { kind: 'NOT_NOW', reason: 'The key has no key material: import the same material again.' },
  KEY_NOT_FOUND: { kind: 'NEVER', reason: 'The key is deleted. Unless the KMS can bring it back, what only it can decrypt is lost.' },
  KEY_USAGE_WRONG: { kind: 'NOT_NOW', reason: 'The key is of a kind that cannot decrypt: look at the key configuration.' },
  ACCESS_DENIED: { kind: 'NOT_NOW', reason: 'The configured credentials may not use the key: give the access back.' },
  CREDENTIALS_INVALID: { kind: 'NOT_NOW', reason: 'The configured credentials are not accepted: store new ones.' },
  CREDENTIALS_EXPIRED: { kind: 'NOT_NOW', reason: 'The configured credentials have expired: store new ones.' },
  CREDENTIALS_MISSING: { kind: 'NOT_NOW', reason: 'No credentials are configured: store some.' },
  CONFIGURATION_WRONG: { kind: 'NOT_NOW', reason: 'The key cannot be used with the configured settings: look at the key configuration.' },
  CANARY_NOT_UNWRAPPED: {
    kind: 'NEVER',
    reason: 'There is another key under the same name. Unless the former one is brought back, what only it can decrypt is lost.',
  },
  CANARY_DIFFERS: {
    kind: 'NEVER',
    reason: 'There is another key under the same name. Unless the former one is brought back, what only it can decrypt is lost.',
  },
};

type Facts = Pick<
  KnownKeyConfiguration,
  'provider' | 'enabled' | 'resolvedKeyId' | 'keyId' | 'state' | 'reason' | 'invalidSince' | 'unreachableSince'
>;

/** Whether a key opens what it protects, as far as its key configuration tells. Pure. */
export function keyStanding(key: NamedKey, configurations: readonly Facts[]): KeyStanding {
  const configuration = configurationNaming(key, configurations);
  if (configuration === null) {
    const reason = 'No key configuration of the project names this key any more, so it is not checked.';
    return { kind: 'NOT_CHECKED', reason, since: null };
  }
  const { state, reason, invalidSince, unreachableSince } = configuration;
  // A shutdown that is held stops nothing, but the key is proven gone all the same.
  if (state === 'INVALID' || state === 'HELD') {
    const gone = isDefinitive(reason) ? GONE[reason] : { kind: 'NOT_NOW' as const, reason: 'The key is not usable.' };
    return { ...gone, since: invalidSince };
  }
  if (unreachableSince === null) return { kind: 'USABLE', reason: null, since: null };
  return { kind: 'NOT_NOW', reason: 'The KMS cannot be asked. What its key protects is there again with it.', since: unreachableSince };
}

const isDefinitive = (reason: Facts['reason']): reason is DefinitiveReason => reason !== null && Object.hasOwn(GONE, reason);

/** What the standing of its key means for a snapshot. A key that nobody checks may open it: whoever tries finds out before any data is touched. */
export function restorability({ kind, reason }: KeyStanding): Restorability {
  if (kind !== 'NOT_NOW' && kind !== 'NEVER') return { kind: 'YES' };
  return { kind, reason: reason ?? 'The key is not usable.' };
}
