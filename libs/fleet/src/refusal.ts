import { ApiError } from '@atrest/platform-http';

/**
 * Every way in which fleet refuses a request, with its HTTP status. The names are the Atlas error codes (clients compare them); where Atlas has none
 * that fits, the nearest general one is used and the detail says what is wrong.
 */
const STATUS = {
  ACCESS_FORBIDDEN: 403,
  CANNOT_CLOSE_GROUP_ACTIVE_ATLAS_CLUSTERS: 409,
  CANNOT_CREATE_PAUSED_CLUSTER: 400,
  CANNOT_PAUSE_CLUSTER_WITH_PENDING_CHANGES: 409,
  CANNOT_TERMINATE_CLUSTER_WHEN_TERMINATION_PROTECTION_ENABLED: 400,
  CANNOT_UPDATE_AND_PAUSE_CLUSTER: 409,
  CANNOT_UPDATE_PAUSED_CLUSTER: 409,
  CANNOT_USE_ENCRYPTION_AT_REST_TENANT: 400,
  CANNOT_USE_NON_FLEX_CLUSTER_IN_FLEX_API: 400,
  CLUSTER_ALREADY_PAUSED: 409,
  CLUSTER_ALREADY_REQUESTED_DELETION: 400,
  CLUSTER_NAME_INVALID: 400,
  CLUSTER_NAME_TOO_LONG: 400,
  CLUSTER_RESTORE_IN_PROGRESS_CANNOT_UPDATE: 400,
  DUPLICATE_CLUSTER_NAME: 400,
  ENCRYPTION_AT_REST_NOT_ENABLED: 400,
  ENCRYPTION_AT_REST_PROVIDER_NOT_SUPPORTED: 400,
  ENCRYPTION_AT_REST_SETTINGS_INVALID: 400,
  FEATURE_UNSUPPORTED: 403,
  GROUP_ALREADY_EXISTS: 409,
  GROUP_NAME_NOT_FOUND: 404,
  INVALID_ATTRIBUTE: 400,
  INVALID_CLUSTER_CONFIGURATION: 400,
  INVALID_GROUP_NAME: 400,
  MISSING_ATTRIBUTE: 400,
  NOT_ORG_GROUP_CREATOR: 401,
  RESOURCE_NOT_FOUND: 404,
  SERVICE_UNAVAILABLE: 503,
  USER_ALREADY_IN_GROUP: 409,
  USER_NOT_FOUND: 404,
  USER_UNAUTHORIZED: 401,
} as const;

export type RefusalCode = keyof typeof STATUS;

/** Thrown when a request cannot be carried out as asked. Expected, and answered as it is: it carries nothing secret. */
export class Refusal extends ApiError {
  constructor(
    readonly code: RefusalCode,
    /** A sentence for people. */
    detail: string,
    /** The values in `detail`, in order. */
    parameters: readonly string[] = [],
  ) {
    super(STATUS[code], code, detail, parameters);
    this.name = 'Refusal';
  }
}
