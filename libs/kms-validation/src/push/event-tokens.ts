import { timingSafeEqual, createHash } from 'node:crypto';
import { createRemoteJWKSet, errors, jwtVerify, type JWTVerifyGetKey } from 'jose';
import type { Clock } from '@atrest/platform-time';

/** Whose tokens are taken, and what they must say. */
export interface TokenExpectation {
  readonly issuers: readonly string[];
  /** What the sender was told to write into its tokens: this installation's own name for it. */
  readonly audience: string;
  /** Claims with exactly these values, e.g. the service account that pushes. */
  readonly claims: Readonly<Record<string, string | boolean>>;
  readonly keys: JWTVerifyGetKey;
}

/** Keys of a token issuer, fetched when they are first needed. */
export const remoteKeys = (url: string): JWTVerifyGetKey => createRemoteJWKSet(new URL(url), { timeoutDuration: 5_000 });

/** Whether the bearer token is one that is expected. Keys that cannot be fetched are no refusal: the sender tries again. */
export async function isExpectedToken(
  authorization: string | undefined,
  { issuers, audience, claims, keys }: TokenExpectation,
  clock: Clock,
): Promise<boolean> {
  const token = /^bearer +([\w.-]{1,8192})$/i.exec(authorization ?? '')?.[1];
  if (token === undefined) return false;
  try {
    const { payload } = await jwtVerify(token, keys, {
      issuer: [...issuers],
      audience,
      algorithms: ['RS256', 'ES256'],
      currentDate: clock.now(),
      requiredClaims: ['exp', 'iat'],
    });
    return Object.entries(claims).every(([name, value]) => payload[name] === value);
  } catch (error) {
    if (error instanceof errors.JOSEError && !(error instanceof errors.JWKSTimeout)) return false;
    throw error;
  }
}

/** Compares secrets in a time that tells nothing of them. */
export function isSameSecret(given: string | undefined, expected: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return given !== undefined && timingSafeEqual(digest(given), digest(expected));
}
