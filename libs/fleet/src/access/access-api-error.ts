import { accessForbidden, ApiError, invalidAttribute } from '@atrest/platform-http';
import { MAX_SECRETS } from './service-account-secret.js';
import { AccessError, MAX_SIGNING_KEYS, type AccessErrorCode } from './service-account.js';

/** What the API answers for each refusal. Atlas publishes no codes for these, so the general ones are used; the two about owners are ours. */
const ANSWERS: Readonly<Record<AccessErrorCode, (subject: string) => ApiError>> = {
  SERVICE_ACCOUNT_UNKNOWN: (clientId) =>
    new ApiError(404, 'RESOURCE_NOT_FOUND', `No service account with client ID ${clientId} exists here.`, [clientId]),
  SECRET_UNKNOWN: (id) => new ApiError(404, 'RESOURCE_NOT_FOUND', `The service account has no secret with ID ${id}.`, [id]),
  SIGNING_KEY_UNKNOWN: (id) => new ApiError(404, 'RESOURCE_NOT_FOUND', `The service account has no signing key with ID ${id}.`, [id]),
  SIGNING_KEY_NOT_ON_CURVE: () => invalidAttribute('publicJwk', 'is no point of its curve'),
  TOO_MANY_SIGNING_KEYS: (clientId) =>
    new ApiError(
      400,
      'VALIDATION_ERROR',
      `Service account ${clientId} has ${MAX_SIGNING_KEYS} signing keys, which is the most. Delete one first.`,
      [clientId],
    ),
  LAST_ORG_OWNER: (clientId) =>
    new ApiError(
      409,
      'CANNOT_REMOVE_LAST_ORG_OWNER',
      `Service account ${clientId} is the last owner of its organisation and can be neither deleted nor demoted. Make another account ORG_OWNER first.`,
      [clientId],
    ),
  LAST_SECRET_OF_LAST_ORG_OWNER: (clientId) =>
    new ApiError(
      409,
      'CANNOT_REMOVE_LAST_ORG_OWNER',
      `This is the last valid secret of service account ${clientId}, the last owner of its organisation. Create another secret first.`,
      [clientId],
    ),
  TOO_MANY_SECRETS: (clientId) =>
    new ApiError(400, 'VALIDATION_ERROR', `Service account ${clientId} has ${MAX_SECRETS} secrets, which is the most. Delete one first.`, [
      clientId,
    ]),
  ACCOUNT_REACHES_BEYOND_PROJECT: () => accessForbidden(),
  CHANGED_MEANWHILE: (clientId) =>
    new ApiError(503, 'SERVICE_UNAVAILABLE', `Service account ${clientId} was changed by somebody else at the same time. Try again.`, [
      clientId,
    ]),
};

/** Runs a use case; its refusals leave as errors of the API. */
export async function answering<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof AccessError) throw ANSWERS[error.code](error.subject);
    throw error;
  }
}
