import { z } from 'zod';

/** Parameters of a JWK that hold secret parts (RFC 7518 §6, RFC 8037). */
export const PRIVATE_JWK_PARAMETERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'] as const;

/** 32 bytes in base64url without padding. */
const coordinate = z.string().regex(/^[\w-]{43}$/, 'must be 32 bytes in base64url without padding');

/** Public keys that may sign commands: P-256 (ES256) and Ed25519 (EdDSA). Only what the key is; names and uses are ours to give. */
export const PublicJwkSchema = z.discriminatedUnion('kty', [
  z.object({ kty: z.literal('EC'), crv: z.literal('P-256'), x: coordinate, y: coordinate }),
  z.object({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: coordinate }),
]);
export type PublicJwk = z.infer<typeof PublicJwkSchema>;
