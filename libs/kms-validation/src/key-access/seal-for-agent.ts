import type { KeyAccessSecret, SealingPublicKey } from '@atrest/contracts';
import { CompactEncrypt, importJWK } from 'jose';

const ALGORITHM = 'ECDH-ES';

/**
 * Seals a key access for one host: a compact JWE with a key of its own, agreed on with the host's public key. Nobody but the holder of the private key can
 * open it, not even who sealed it.
 */
export async function sealForAgent(secret: KeyAccessSecret, key: SealingPublicKey): Promise<string> {
  const recipient = await importJWK({ ...key }, ALGORITHM);
  return new CompactEncrypt(new TextEncoder().encode(JSON.stringify(secret)))
    .setProtectedHeader({ alg: ALGORITHM, enc: 'A256GCM' })
    .encrypt(recipient);
}
