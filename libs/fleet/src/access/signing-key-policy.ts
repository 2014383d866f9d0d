import { ACCESS_TOKEN_SECONDS } from '@atrest/platform-auth';

const DAY_MS = 24 * 60 * 60 * 1000;

/** Days a key signs. A stolen private half is worth this long at most; shorter would only make more keys. */
export const SIGNS_FOR_MS = 30 * DAY_MS;

/**
 * The next key exists this long before it signs, so that every projection and every cache of the JWKS knows it by then. A day also covers
 * a service that is down over the change.
 */
export const CREATED_AHEAD_MS = DAY_MS;

/** Beyond the last token's life: clocks of services differ. */
const ACCEPTED_LONGER_MS = 5 * 60_000;

/** When a signing key may be used; all times in UTC. */
export interface KeyTimes {
  readonly signsUntil: Date;
  readonly acceptedUntil: Date;
}

/** The keys that may sign now, the one to use first in front: the oldest still allowed, so that a new key has its time to become known. */
export function signingOrder<K extends { readonly signsUntil: Date }>(keys: readonly K[], now: Date): K[] {
  return keys.filter((key) => key.signsUntil > now).sort((a, b) => a.signsUntil.getTime() - b.signsUntil.getTime());
}

/** The times of the key to create now, or `undefined` when enough keys exist. */
export function nextKey(keys: readonly Pick<KeyTimes, 'signsUntil'>[], now: Date): KeyTimes | undefined {
  const last = signingOrder(keys, now).at(-1)?.signsUntil;
  if (last !== undefined && last.getTime() - now.getTime() > CREATED_AHEAD_MS) return undefined;
  const signsUntil = new Date((last ?? now).getTime() + SIGNS_FOR_MS);
  return { signsUntil, acceptedUntil: new Date(signsUntil.getTime() + ACCESS_TOKEN_SECONDS * 1000 + ACCEPTED_LONGER_MS) };
}
