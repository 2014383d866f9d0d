export { compileValidityPolicy, VALIDITY_POLICY_LIMITS, ValidityPolicyError, type ValidityPolicy } from './policy-settings.js';
export {
  decide,
  provenValidity,
  validityTransitions,
  type CheckResult,
  type Decision,
  type Finding,
  type Validity,
  type ValidityEvent,
} from './validity-policy.js';
