import { SnapshotStoreError, StoreFullError, StoreRefusedError, StoreUnavailableError } from '../errors.js';

/** What the S3 SDK throws, as far as it is looked at. */
interface S3Failure {
  readonly name?: string;
  readonly message?: string;
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number; readonly requestId?: string };
}

/** Refusals and what to do about them. Names as S3 and the stores compatible with it send them. */
const REFUSALS: Readonly<Record<string, string>> = {
  NoSuchBucket: 'there is no such bucket. Make it, or correct its name',
  PermanentRedirect: 'the bucket lies in another region. Set that region',
  AuthorizationHeaderMalformed: 'the bucket lies in another region. Set that region',
  IllegalLocationConstraintException: 'the bucket lies in another region. Set that region',
  InvalidAccessKeyId: 'the access key is unknown. Renew the credentials',
  SignatureDoesNotMatch: 'the secret does not belong to the access key. Renew the credentials',
  InvalidToken: 'the session token is not valid. Renew the credentials',
  ExpiredToken: 'the session token has expired. Renew the credentials',
  AccessDenied: 'the credentials lack the right. Allow s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket on bucket and prefix',
  AllAccessDisabled: 'the bucket is closed. Ask its owner',
  AccountProblem: 'the account is suspended. Ask its owner',
  CredentialsProviderError: 'no credentials were found. Configure them',
};

const FULL = new Set(['QuotaExceeded', 'XMinioStorageFull', 'EntityTooLarge', 'InsufficientStorage']);

/** Whether the error says that the object is not there. */
export function isMissing(error: unknown): boolean {
  const { name, $metadata } = error as S3Failure;
  // HEAD has no body, so its errors have no name but the status.
  return name === 'NoSuchKey' || name === 'NotFound' || ($metadata?.httpStatusCode === 404 && name !== 'NoSuchBucket');
}

/** Whether the error says that a conditional put found the object there. */
export function isPresent(error: unknown): boolean {
  const { name, $metadata } = error as S3Failure;
  return name === 'PreconditionFailed' || $metadata?.httpStatusCode === 412;
}

/** Two conditional puts met: one of them has to ask again (409). */
export const isConflict = (error: unknown): boolean => (error as S3Failure).name === 'ConditionalRequestConflict';

/** Whether the store does not know conditional puts. */
export function isUnsupported(error: unknown): boolean {
  const { name, $metadata } = error as S3Failure;
  return name === 'NotImplemented' || $metadata?.httpStatusCode === 501;
}

/**
 * What an error of the S3 SDK means. Unknown ones are taken for passing: giving up a backup for good needs a reason.
 *
 * @param action e.g. `Writing epochs/…`; the bucket's name is said, credentials never are.
 */
export function s3Error(action: string, bucket: string, error: unknown): Error {
  // What gives the credentials says itself why there are none.
  if (error instanceof SnapshotStoreError) return error;
  const { name = 'unknown error', code, $metadata } = error as S3Failure;
  const status = $metadata?.httpStatusCode;
  const request = $metadata?.requestId === undefined ? '' : `, request ${$metadata.requestId}`;
  const said = `${action} in the bucket ${bucket} failed (${[name, code, status].filter((part) => part !== undefined).join(' ')}${request})`;
  if (FULL.has(name) || status === 507) return new StoreFullError(`${said}: no space is left, or the quota is used up.`, { cause: error });
  const refusal =
    REFUSALS[name] ??
    (status === 401 || status === 403 ? REFUSALS['AccessDenied'] : status === 301 ? REFUSALS['PermanentRedirect'] : undefined);
  // A wrong clock makes every signature wrong; correcting it is enough.
  if (name === 'RequestTimeTooSkewed') return new StoreUnavailableError(`${said}: the clock of this machine is wrong.`, { cause: error });
  if (refusal !== undefined) return new StoreRefusedError(`${said}: ${refusal}.`, { cause: error });
  return new StoreUnavailableError(`${said}.`, { cause: error });
}
