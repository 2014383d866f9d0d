import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import type { KeyContext } from '../key-provider.js';

/**
 * How the adapter wraps: it gets the AES-256 material from the server (KMIP Get), derives a wrapping key from it with HKDF-SHA-256, and
 * encrypts with AES-256-GCM, with the context as additional authenticated data.
 */
export const KMIP_MECHANISM = 'KMIP_GET:HKDF-SHA256:AES-256-GCM';

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Bytes that a wrapped secret has beyond the secret's own. */
export const KMIP_OVERHEAD_BYTES = NONCE_BYTES + TAG_BYTES;

/** What the ciphertext is bound to, key and mechanism included: a blob cannot be passed off as another's. */
const boundTo = (keyId: string, context: KeyContext): Buffer =>
  Buffer.from(JSON.stringify([KMIP_MECHANISM, keyId, context.projectId, context.purpose]), 'utf8');

/**
 * A key of our own from the customer key: whatever else uses the same customer key, in whatever mode, never meets our nonces. Random
 * nonces are good for 2^32 secrets per key (NIST SP 800-38D, 8.3); a project wraps a few per snapshot.
 */
const wrappingKey = (material: Uint8Array): Buffer => Buffer.from(hkdfSync('sha256', material, '', 'atrest: wrapping key', 32));

/** Nonce, ciphertext and tag. */
export function seal(material: Uint8Array, keyId: string, plaintext: Uint8Array, context: KeyContext): Buffer {
  const key = wrappingKey(material);
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(boundTo(keyId, context));
  const sealed = Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
  key.fill(0);
  return sealed;
}

/** The secret, or null when key, context or a single bit differs. */
export function unseal(material: Uint8Array, keyId: string, sealed: Uint8Array, context: KeyContext): Buffer | null {
  const key = wrappingKey(material);
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
    .setAAD(boundTo(keyId, context))
    .setAuthTag(sealed.subarray(-TAG_BYTES));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
  } catch {
    return null;
  } finally {
    key.fill(0);
  }
}
