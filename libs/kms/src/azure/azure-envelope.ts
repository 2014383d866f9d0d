import { createHash, timingSafeEqual } from 'node:crypto';
import { BlobNotAuthenticError } from '../errors.js';
import type { KeyContext } from '../key-provider.js';

/**
 * RSA-OAEP-256 inside Azure Key Vault over `secret ‖ SHA-256(context)`, since Azure offers no label or associated data for it.
 *
 * What that promises: OAEP is non-malleable, so nobody without the private key can turn a blob of one context into a blob of another, and a
 * blob that was moved to another context is refused after unwrapping. What it does not: RSA says nothing about who wrapped. Whoever knows
 * the public key can make a new blob, for any context, of a secret that they know already.
 */
export const AZURE_MECHANISM = 'AZURE_KEY_VAULT:RSA-OAEP-256:CONTEXT-SHA-256';

/** Bytes of the digest. With `MAX_PLAINTEXT_BYTES` before it 96 in all; the smallest key, of 2048 bits, takes 190. */
const DIGEST_BYTES = 32;

/** Named, so that no digest made for another purpose fits; JSON, so that no two contexts are written alike. */
const digestOf = (context: KeyContext): Buffer =>
  createHash('sha256')
    .update(JSON.stringify(['atrest', AZURE_MECHANISM, context.projectId, context.purpose]))
    .digest();

/** What is given to the vault to wrap. */
export const bindToContext = (secret: Uint8Array, context: KeyContext): Buffer => Buffer.concat([secret, digestOf(context)]);

/** The secret in what the vault unwrapped; throws `BlobNotAuthenticError` when it was wrapped for another context. */
export function openForContext(unwrapped: Uint8Array, context: KeyContext): Uint8Array {
  const secretLength = unwrapped.length - DIGEST_BYTES;
  if (secretLength < 1 || !timingSafeEqual(unwrapped.subarray(secretLength), digestOf(context))) throw new BlobNotAuthenticError();
  return unwrapped.subarray(0, secretLength);
}
