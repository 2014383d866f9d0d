import { hostname } from 'node:os';
import { compileValidityPolicy, createKmsValidationService, type KmsValidationOptions } from '@atrest/kms-validation';
import { SealingKeys } from '@atrest/platform-auth';
import { hostService } from '@atrest/platform-host';
import { kmsValidationFields } from './configuration.js';

await hostService({
  name: 'kms-validation',
  fields: kmsValidationFields,
  prepare: (configuration): KmsValidationOptions => ({
    sealingKeys: SealingKeys.parse(configuration.ATREST_SEALING_KEYS.reveal()),
    issuer: configuration.ATREST_PUBLIC_URL,
    observer: `${hostname()}:${process.pid}`,
    policy: compileValidityPolicy({
      intervalMs: configuration.ATREST_CHECK_INTERVAL,
      confirmations: configuration.ATREST_CHECK_CONFIRMATIONS,
      confirmationWindowMs: configuration.ATREST_CHECK_CONFIRMATION_WINDOW,
      unreachableGraceMs: configuration.ATREST_UNREACHABLE_GRACE,
    }),
    ...(configuration.ATREST_AWS_KMS_ENDPOINT !== undefined && { awsEndpoint: configuration.ATREST_AWS_KMS_ENDPOINT }),
  }),
  create: createKmsValidationService,
});
