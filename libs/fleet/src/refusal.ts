/**
 * Every way in which fleet refuses a request, with its HTTP status. The names are the Atlas error codes (clients compare them); where Atlas has none
 * that fits, the nearest general one is used and the detail says what is wrong.
 */
const STATUS = {
  CANNOT_CLOSE_GROUP_ACTIVE_ATLAS_CLUSTERS: 409,
  CANNOT_CREATE_PAUSED_CLUSTER: 400,
  CANNOT_TERMINATE_CLUSTER_WHEN_TERMINATION_PROTECTION_ENABLED: 400,
  CANNOT_USE_ENCRYPTION_AT_REST_TENANT: 400,
  CANNOT_USE_NON_FLEX_CLUSTER_IN_FLEX_API: 400,
  ACCESS_FORBIDDEN: 403,
  CLUSTER_ALREADY_REQUESTED_DELETION: 400,
  CLUSTER_NAME_INVALID: 400,
  CLUSTER_NAME_TOO_LONG: 400,
  CLUSTER_NOT_FOUND: 404,
  CLUSTER_RESTORE_IN_PROGRESS_CANNOT_UPDATE: 400,
  DUPLICATE_CLUSTER_NAME: 400,
  ENCRYPTION_AT_REST_NOT_ENABLED: 400,
  ENCRYPTION_AT_REST_PROVIDER_NOT_SUPPORTED: 400,
  ENCRYPTION_AT_REST_SETTINGS_INVALID: 400,
  FEATURE_UNSUPPORTED: 403,
  GROUP_ALREADY_EXISTS: 409,
  GROUP_NAME_NOT_FOUND: 404,
  GROUP_NOT_FOUND: 404,
  INVALID_ATTRIBUTE: 400,
  INVALID_CLUSTER_CONFIGURATION: 400,
  INVALID_GROUP_NAME: 400,
  INVALID_QUERY_PARAMETER: 400,
  MISSING_ATTRIBUTE: 400,
  NOT_ORG_GROUP_CREATOR: 401,
  RESOURCE_NOT_FOUND: 404,
  SERVICE_UNAVAILABLE: 503,
  USER_ALREADY_IN_GROUP: 409,
  USER_NOT_FOUND: 404,
  USER_NOT_IN_GROUP: 404,
  USER_UNAUTHORIZED: 401,
} as const;

export type RefusalCode = keyof typeof STATUS;

/** Thrown when a request cannot be carried out as asked. Expected; carries nothing secret. */
export class Refusal extends Error {
  constructor(
    readonly code: RefusalCode,
    /** A sentence for people. */
    readonly detail: string,
    /** The values in `detail`, in order. */
    readonly parameters: readonly string[] = [],
  ) {
    super(`${code}: ${detail}`);
    this.name = 'Refusal';
  }

  /** The HTTP status that belongs to the code. */
  get status(): number {
    return STATUS[this.code];
  }
}

/** The two refusals that nearly every route needs. */
export const projectNotFound = (projectId: string): Refusal =>
  new Refusal('GROUP_NOT_FOUND', `No group with ID ${projectId} exists.`, [projectId]);
export const clusterNotFound = (name: string, projectId: string): Refusal =>
  new Refusal('CLUSTER_NOT_FOUND', `No cluster named ${name} exists in group ${projectId}.`, [name, projectId]);
