import { ApiError } from '@atrest/platform-http';
import type { Outcome, RefusalCode } from './refusal.js';

/** HTTP statuses of refusals; 400 where nothing is said (atlas-admin-api, error codes). */
const STATUS: Readonly<Partial<Record<RefusalCode, number>>> = {
  GROUP_NOT_FOUND: 404,
  AWS_CUSTOMER_MASTER_KEY_NOT_FOUND: 404,
  RESOURCE_NOT_FOUND: 404,
  FEATURE_UNSUPPORTED: 403,
  CLOUD_PROVIDER_ACCESS_ROLE_IN_USE: 409,
  CANNOT_DISABLE_ENCRYPTION_AT_REST: 409,
  ENCRYPTION_AT_REST_CHANGED_MEANWHILE: 409,
  SERVICE_UNAVAILABLE: 503,
};

/** The value of an outcome; a refusal becomes the API's error. */
export function answer<Value>(outcome: Outcome<Value>): Value {
  if (outcome.kind === 'done') return outcome.value;
  const { code, detail, parameters } = outcome.refusal;
  const error = new ApiError(STATUS[code] ?? 400, code, detail, [...(parameters ?? [])]);
  throw code === 'SERVICE_UNAVAILABLE' ? error.withHeader('Retry-After', '5') : error;
}
