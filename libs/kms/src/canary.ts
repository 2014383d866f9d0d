import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { KeyContext, KeyProvider, WrappedBlob } from './key-provider.js';
import { definitive, usable, type DefinitiveVerdict, type TransientVerdict, type UsableVerdict, type Verdict } from './verdict.js';

/**
 * A secret that only the customer key can give back, kept to prove later that the key still unwraps what it wrapped. The secret
 * itself is thrown away; its digest is enough to compare.
 */
export interface Canary {
  readonly blob: WrappedBlob;
  /** SHA-256 of the 32 random bytes, hexadecimal. */
  readonly sha256: string;
}

export type Proof =
  | { readonly verdict: UsableVerdict; readonly canary: Canary }
  | { readonly verdict: DefinitiveVerdict | TransientVerdict; readonly canary: null };

const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();

const differs = () =>
  definitive('CANARY_DIFFERS', {
    errorName: 'CanaryDiffers',
    message: 'The provider reported success but gave back other bytes than were wrapped.',
  });

function failed(verdict: Verdict): DefinitiveVerdict | TransientVerdict {
  if (verdict.kind === 'usable') throw new TypeError('a failed call cannot be classified as usable');
  return verdict;
}

/** Proves with two requests that the key wraps and unwraps now. Does not reject for what the provider does. */
export async function proveKey(provider: KeyProvider, context: KeyContext): Promise<Proof> {
  const secret = randomBytes(32);
  try {
    const blob = await provider.wrap(secret, context);
    const unwrapped = await provider.unwrap(blob, context);
    const digest = sha256(secret);
    if (!timingSafeEqual(digest, sha256(unwrapped))) return { verdict: differs(), canary: null };
    return { verdict: usable(), canary: { blob, sha256: digest.toString('hex') } };
  } catch (error) {
    return { verdict: failed(provider.verdict(error)), canary: null };
  } finally {
    secret.fill(0);
  }
}

/**
 * Proves with one request that the key still unwraps what it wrapped earlier. A key that was deleted and re-created under the
 * same alias fails here, where a fresh round trip would not. Does not reject for what the provider does.
 */
export async function checkCanary(provider: KeyProvider, canary: Canary, context: KeyContext): Promise<Verdict> {
  try {
    const unwrapped = await provider.unwrap(canary.blob, context);
    const expected = Buffer.from(canary.sha256, 'hex');
    const actual = sha256(unwrapped);
    return expected.length === actual.length && timingSafeEqual(expected, actual) ? usable() : differs();
  } catch (error) {
    return provider.verdict(error);
  }
}
