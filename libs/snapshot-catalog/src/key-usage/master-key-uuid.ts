import { createHash } from 'node:crypto';
import type { EncryptionAtRestProvider } from '@atrest/contracts';

/**
 * The UUID (version 8, RFC 9562) that stands for a customer key in the Atlas API. It follows from the key's name alone: the same key has the same one in
 * every project and after every rebuild of the catalogue.
 */
export function masterKeyUUID(provider: EncryptionAtRestProvider, encryptionKeyId: string): string {
  const digest = createHash('sha256').update(`${provider}/${encryptionKeyId}`).digest();
  digest[6] = (digest[6]! & 0x0f) | 0x80;
  digest[8] = (digest[8]! & 0x3f) | 0x80;
  const hex = digest.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-');
}
