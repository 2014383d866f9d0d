import { hostname } from 'node:os';
import { createKmsValidationService, operatorOptions, type KmsValidationOptions } from '@atrest/kms-validation';
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
    ...operatorOptions(configuration, configuration.ATREST_PUBLIC_URL),
  }),
  create: createKmsValidationService,
});
