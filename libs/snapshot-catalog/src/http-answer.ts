import { ApiError } from '@atrest/platform-http';
import type { Outcome, RefusalCode } from './refusal.js';

/** HTTP statuses of refusals; 400 where nothing is said (atlas-admin-api, error codes). */
const STATUS: Readonly<Partial<Record<RefusalCode, number>>> = {
  CLUSTER_NOT_FOUND: 404,
  SNAPSHOT_NOT_FOUND: 404,
  INVALID_SNAPSHOT_ID: 404,
  BACKUP_CONFIG_NOT_FOUND: 404,
  CANNOT_MODIFY_SNAPSHOT: 403,
  FEATURE_UNSUPPORTED: 403,
  CLUSTER_CANNOT_BE_COPIED: 409,
  SNAPSHOT_NOT_IN_PROGRESS: 409,
};

/** The value of an outcome; a refusal becomes the API's error. */
export function answer<Value>(outcome: Outcome<Value>): Value {
  if (outcome.kind === 'done') return outcome.value;
  const { code, detail, parameters } = outcome.refusal;
  throw new ApiError(STATUS[code] ?? 400, code, detail, [...parameters]);
}
