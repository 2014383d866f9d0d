import { duration, integer, optional, secret, url } from '@atrest/platform-config';

/** What `kms-validation` reads beside the settings of every service. */
export const kmsValidationFields = {
  ATREST_SEALING_KEYS: secret({
    description:
      'Keys that seal the credentials of key configurations, current first: `k2:<base64 of 32 bytes>,k1:…`; the same for every replica',
  }),
  ATREST_CHECK_INTERVAL: duration({
    min: '1s',
    max: '24h',
    default: '60s',
    description: 'Time between two validity checks of a configuration',
  }),
  ATREST_CHECK_CONFIRMATIONS: integer({
    min: 1,
    max: 10,
    default: 3,
    description: 'Definitive verdicts in a row that make a configuration INVALID',
  }),
  ATREST_CHECK_CONFIRMATION_WINDOW: duration({
    min: '1s',
    max: '10m',
    default: '20s',
    description: 'Time over which the confirmations are spread',
  }),
  ATREST_UNREACHABLE_GRACE: duration({
    min: 0,
    max: '24h',
    default: '5m',
    description: "How long a KMS may be unreachable before 'KMS unreachable' is raised",
  }),
  ATREST_AWS_KMS_ENDPOINT: optional(
    url({
      protocols: ['http:', 'https:'],
      description: 'AWS KMS endpoint in place of the real ones, for a private endpoint or a development KMS',
    }),
  ),
} as const;
