import { secret } from '@atrest/platform-config';

/** What `fleet` reads beside the settings of every service. */
export const fleetFields = {
  ATREST_SEALING_KEYS: secret({
    description:
      'Keys that seal the private halves of signing keys, current first: `k2:<base64 of 32 bytes>,k1:…`; the same for every replica',
  }),
} as const;
