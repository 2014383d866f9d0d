import { COMMAND_ALGORITHMS, commandKid, RESTORE_COMMAND_JWS_TYPE, type CommandSigningKey } from '@atrest/contracts';
import { compactVerify, decodeProtectedHeader, errors, importJWK } from 'jose';

/** Who a JWS says has signed it. Nothing of it is proven yet. */
export interface ClaimedSigner {
  readonly clientId: string;
  readonly kid: string;
}

/** `<client id>#<thumbprint>`; a thumbprint is a SHA-256 in base64url. */
const KID = /^(mdb_sa_id_[a-fA-F\d]{24})#([\w-]{43})$/;

const ACCEPTED: readonly string[] = COMMAND_ALGORITHMS;

/** Reads the header of a compact JWS: who should have signed it, or why it cannot count as signed at all. */
export function claimedSigner(jws: string): ClaimedSigner | { readonly problem: string } {
  const header = headerOf(jws);
  if (header === null) return { problem: 'the header of the JWS is not JSON' };
  if (header.typ !== RESTORE_COMMAND_JWS_TYPE) return { problem: `the header's typ must be ${RESTORE_COMMAND_JWS_TYPE}` };
  if (header.alg === undefined || !ACCEPTED.includes(header.alg))
    return { problem: `the header's alg must be one of ${ACCEPTED.join(', ')}` };
  const match = typeof header.kid === 'string' ? KID.exec(header.kid) : null;
  if (match?.[1] === undefined || match[2] === undefined)
    return { problem: "the header's kid must be <client id>#<thumbprint of the key>" };
  return { clientId: match[1], kid: commandKid(match[1], match[2]) };
}

/**
 * The payload, when the signature is made with one of the keys, else null. The algorithm is the one that fits the registered key, whatever the
 * header says, and keys or addresses of keys in the header are ignored.
 */
export async function verifiedPayload(jws: string, kid: string, keys: readonly CommandSigningKey[]): Promise<Uint8Array | null> {
  const key = keys.find((candidate) => candidate.kid === kid);
  if (key === undefined) return null;
  const algorithm = key.publicJwk.kty === 'EC' ? 'ES256' : 'EdDSA';
  try {
    const { payload } = await compactVerify(jws, await importJWK(key.publicJwk, algorithm), { algorithms: [algorithm] });
    return payload;
  } catch (error) {
    if (error instanceof errors.JOSEError) return null;
    throw error;
  }
}

function headerOf(jws: string): ReturnType<typeof decodeProtectedHeader> | null {
  try {
    return decodeProtectedHeader(jws);
  } catch (error) {
    if (error instanceof TypeError) return null;
    throw error;
  }
}
