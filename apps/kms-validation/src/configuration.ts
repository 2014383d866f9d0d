import { operatorFields } from '@atrest/kms-validation';
import { secret } from '@atrest/platform-config';

/** What `kms-validation` reads beside the settings of every service. */
export const kmsValidationFields = {
  ATREST_SEALING_KEYS: secret({
    description:
      'Keys that seal the credentials of key configurations, current first: `k2:<base64 of 32 bytes>,k1:…`; the same for every replica',
  }),
  ...operatorFields,
} as const;
