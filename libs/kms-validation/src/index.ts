export {
  createKmsValidationService,
  kmsValidationMigrations,
  type KmsValidationOptions,
  type KmsValidationService,
} from './kms-validation.service.js';
export type { AuthorisedRole, Credentials, KeyReference, ProviderFactories, ProviderFactory } from './key-access.js';
export { compileValidityPolicy, VALIDITY_POLICY_LIMITS, ValidityPolicyError, type ValidityPolicy } from './policy-settings.js';
export { operatorFields } from './operator-settings/operator-fields.js';
export { operatorOptions, type OperatorConfiguration } from './operator-settings/operator-options.js';
export { validityTransitions } from './validity-policy.js';
export { kmsValidationControllers } from './kms-validation.module.js';
