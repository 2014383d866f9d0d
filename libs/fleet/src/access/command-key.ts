import { createPublicKey } from 'node:crypto';
import type { PublicJwk } from '@atrest/contracts';
import { calculateJwkThumbprint } from 'jose';
import { AccessError } from './service-account.js';

/** Id of a key for commands: its thumbprint (RFC 7638). @throws AccessError SIGNING_KEY_NOT_ON_CURVE when no signature could ever match it */
export async function signingKeyId(publicJwk: PublicJwk): Promise<string> {
  const id = await calculateJwkThumbprint(publicJwk, 'sha256');
  try {
    createPublicKey({ key: publicJwk, format: 'jwk' });
  } catch (error) {
    // OpenSSL's own words say less than ours.
    if (error instanceof Error) throw new AccessError('SIGNING_KEY_NOT_ON_CURVE', id);
    throw error;
  }
  return id;
}
