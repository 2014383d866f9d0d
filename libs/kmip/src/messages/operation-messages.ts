import type { Shape, ValueOf } from './fields.js';
import { activateRequest, activateResponse } from './payloads/activate.js';
import { createRequest, createResponse } from './payloads/create.js';
import { decryptRequest, decryptResponse } from './payloads/decrypt.js';
import { destroyRequest, destroyResponse } from './payloads/destroy.js';
import { discoverVersionsRequest, discoverVersionsResponse } from './payloads/discover-versions.js';
import { encryptRequest, encryptResponse } from './payloads/encrypt.js';
import { getAttributeListRequest, getAttributeListResponse } from './payloads/get-attribute-list.js';
import { getAttributesRequest, getAttributesResponse } from './payloads/get-attributes.js';
import { getRequest, getResponse } from './payloads/get.js';
import { locateRequest, locateResponse } from './payloads/locate.js';
import { queryRequest, queryResponse } from './payloads/query.js';
import { registerRequest, registerResponse } from './payloads/register.js';
import { revokeRequest, revokeResponse } from './payloads/revoke.js';

/** The operations that are spoken here, with the payloads of question and answer. */
export const OPERATION_MESSAGES = {
  Activate: { request: activateRequest, response: activateResponse },
  Create: { request: createRequest, response: createResponse },
  Decrypt: { request: decryptRequest, response: decryptResponse },
  Destroy: { request: destroyRequest, response: destroyResponse },
  DiscoverVersions: { request: discoverVersionsRequest, response: discoverVersionsResponse },
  Encrypt: { request: encryptRequest, response: encryptResponse },
  Get: { request: getRequest, response: getResponse },
  GetAttributeList: { request: getAttributeListRequest, response: getAttributeListResponse },
  GetAttributes: { request: getAttributesRequest, response: getAttributesResponse },
  Locate: { request: locateRequest, response: locateResponse },
  Query: { request: queryRequest, response: queryResponse },
  Register: { request: registerRequest, response: registerResponse },
  Revoke: { request: revokeRequest, response: revokeResponse },
} as const;

export type OperationName = keyof typeof OPERATION_MESSAGES;
export type RequestPayload<O extends OperationName> = ValueOf<(typeof OPERATION_MESSAGES)[O]['request']>;
export type ResponsePayload<O extends OperationName> = ValueOf<(typeof OPERATION_MESSAGES)[O]['response']>;

/** Whether an operation has messages here; KMIP has more operations. */
export const isSpoken = (operation: string | undefined): operation is OperationName =>
  operation !== undefined && Object.hasOwn(OPERATION_MESSAGES, operation);

// The union of all payload shapes is not callable; the name that chose the shape also typed the payload.
export const requestShape = (operation: OperationName): Shape<unknown> => OPERATION_MESSAGES[operation].request;
export const responseShape = (operation: OperationName): Shape<unknown> => OPERATION_MESSAGES[operation].response;
