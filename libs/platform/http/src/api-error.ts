import { STATUS_CODES } from 'node:http';

/** One member of a request that was refused, and why. */
export interface ApiErrorField {
  /** Path of the attribute, such as `awsKms.region` or `processes[0].port`. */
  readonly field: string;
  readonly description: string;
}

/** The body of every error answer (Atlas `ApiError`). */
export interface ApiErrorBody {
  readonly badRequestDetail?: { readonly fields: readonly ApiErrorField[] };
  readonly detail: string;
  /** HTTP status. */
  readonly error: number;
  readonly errorCode: string;
  /** The values that were put into `detail`, in their order. */
  readonly parameters: readonly string[];
  /** HTTP reason phrase. */
  readonly reason: string;
}

/** An answer to the client that is an error. Thrown anywhere below a route; everything else that is thrown becomes a 500 without internals. */
export class ApiError extends Error {
  readonly status: number;
  /** Stable code; clients decide by it. */
  readonly errorCode: string;
  readonly detail: string;
  readonly parameters: readonly string[];
  readonly fields: readonly ApiErrorField[];
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    errorCode: string,
    detail: string,
    parameters: readonly string[] = [],
    fields: readonly ApiErrorField[] = [],
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(`${errorCode}: ${detail}`);
    this.name = 'ApiError';
    this.status = status;
    this.errorCode = errorCode;
    this.detail = detail;
    this.parameters = parameters;
    this.fields = fields;
    this.headers = headers;
  }

  /** The same error with one more response header, such as `Retry-After` or `WWW-Authenticate`. */
  withHeader(name: string, value: string): ApiError {
    return new ApiError(this.status, this.errorCode, this.detail, this.parameters, this.fields, { ...this.headers, [name]: value });
  }

  toBody(): ApiErrorBody {
    return {
      ...(this.fields.length > 0 && { badRequestDetail: { fields: this.fields } }),
      detail: this.detail,
      error: this.status,
      errorCode: this.errorCode,
      parameters: this.parameters,
      reason: STATUS_CODES[this.status] ?? 'Error',
    };
  }
}

/** An error that is answered with a body of its own, where a standard wants another shape (OAuth 2: RFC 6749 §5.2). */
export class BodyError extends Error {
  readonly code = 'BODY_ERROR';

  constructor(
    readonly status: number,
    readonly body: object,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(`Answered with status ${status}.`);
    this.name = 'BodyError';
  }
}

/** 404: no such project, or none that the caller may know of. */
export function groupNotFound(groupId: string): ApiError {
  return new ApiError(404, 'GROUP_NOT_FOUND', `No group with ID ${groupId} exists.`, [groupId]);
}

/** 404: no such cluster in the project. */
export function clusterNotFound(clusterName: string, groupId: string): ApiError {
  return new ApiError(404, 'CLUSTER_NOT_FOUND', `No cluster named ${clusterName} exists in group ${groupId}.`, [clusterName, groupId]);
}

/** 400: an attribute of the body is not what it must be. `why` continues the sentence 'attribute x …'. */
export function invalidAttribute(attribute: string, why: string): ApiError {
  return new ApiError(
    400,
    'INVALID_ATTRIBUTE',
    `Invalid attribute ${attribute}: it ${why}.`,
    [attribute],
    [{ field: attribute, description: why }],
  );
}

/** 400: an attribute of the body is missing. */
export function missingAttribute(attribute: string): ApiError {
  return new ApiError(
    400,
    'MISSING_ATTRIBUTE',
    `The required attribute ${attribute} was not specified.`,
    [attribute],
    [{ field: attribute, description: 'is required' }],
  );
}

/** 401: nobody the service knows. */
export function unauthorized(): ApiError {
  return new ApiError(401, 'USER_UNAUTHORIZED', 'You are not authorized for this resource.');
}

/** 403: known, but without the role that this takes. */
export function accessForbidden(): ApiError {
  return new ApiError(403, 'ACCESS_FORBIDDEN', 'The current user is not authorized to access this resource.');
}
