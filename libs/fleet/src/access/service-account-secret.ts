import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/**
 * 256 random bits. Because nobody chooses a secret, there is no dictionary to try and nothing to slow an attacker down for: SHA-256 of
 * it is as hard to turn back as the secret is to guess. A password hash (scrypt, argon2) would add nothing here, and would hand every
 * unauthenticated client of the token endpoint a way to burn 100 ms of CPU per request.
 */
const SECRET_BYTES = 32;
const PREFIX = 'mdb_sa_sk_';

/** Secrets one account may hold at a time. Two are needed to rotate; the token endpoint compares with all, hence not many. */
export const MAX_SECRETS = 10;

/** A secret as it is stored: from this nobody can log in. */
export interface StoredSecret {
  readonly id: string;
  readonly clientId: string;
  readonly hash: Buffer;
  readonly masked: string;
  readonly createdAt: Date;
  readonly expiresAt: Date;
  readonly lastUsedAt: Date | null;
}

/** A new secret value. Shown once and kept nowhere. The alphabet needs no percent-encoding, so clients that encode and clients that do not agree. */
export function newSecretValue(): string {
  return PREFIX + randomBytes(SECRET_BYTES).toString('base64url');
}

export function hashSecret(value: string): Buffer {
  return createHash('sha256').update(value, 'utf8').digest();
}

/** What may be shown later: enough to tell two secrets apart. Four of 43 characters leave 232 unknown bits. */
export function maskSecret(value: string): string {
  return `${PREFIX}...${value.slice(-4)}`;
}

/** Stands in for the hashes of an account that does not exist, so that both cases do the same work. Nothing hashes to it on purpose. */
const NO_SECRET = randomBytes(32);

/**
 * The secret that the value is, if it is one of these and has not expired. Each comparison takes constant time, none is left out once one
 * matched, and an account without secrets (or none at all) costs one comparison too.
 */
export function matchSecret(value: string, secrets: readonly StoredSecret[], now: Date): StoredSecret | undefined {
  const hash = hashSecret(value);
  let match: StoredSecret | undefined;
  for (const secret of secrets) {
    if (timingSafeEqual(hash, secret.hash) && secret.expiresAt > now) match = secret;
  }
  if (secrets.length === 0) timingSafeEqual(hash, NO_SECRET);
  return match;
}
