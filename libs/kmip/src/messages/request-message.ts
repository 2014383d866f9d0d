import { decodeTtlv } from '../ttlv/decode.js';
import { encodeTtlv } from '../ttlv/encode.js';
import type { TtlvItem, TtlvLimits } from '../ttlv/item.js';
import { CredentialType } from '../vocabulary/enumerations.js';
import { operationOf, OPERATIONS } from '../vocabulary/operations.js';
import { Tag } from '../vocabulary/tags.js';
import { isSince, versionNumber, type KmipVersion } from '../vocabulary/versions.js';
import { anything, decodeAs, encodeAs, enumeration, list, optional, required, structure, type ValueOf } from './fields.js';
import { batchItemId, requestHeader, versionOfMessage } from './header.js';
import { KmipMessageError } from './message-error.js';
import { isSpoken, requestShape, type OperationName, type RequestPayload } from './operation-messages.js';
import { usernameAndPassword } from './structures.js';

/** One operation that is asked for. */
export type RequestItem<O extends OperationName = OperationName> = {
  readonly [Each in O]: { readonly operation: Each; readonly payload: RequestPayload<Each>; readonly id?: Uint8Array };
}[O];

/** An operation that was asked for and has no messages here: a server answers it with OperationNotSupported. */
export interface UnknownRequestItem {
  readonly operation: null;
  readonly code: number;
  readonly id?: Uint8Array;
}

export interface Request {
  readonly version: KmipVersion;
  readonly items: readonly RequestItem[];
  /** Bytes that the answer may have. */
  readonly maximumResponseSize?: number;
  readonly timeStamp?: Date;
  readonly credentials?: { readonly username: string; readonly password?: string };
}

/** What a server gets: the header as it came, and items of which some may be unknown. */
export interface ReceivedRequest {
  readonly version: KmipVersion;
  readonly header: ValueOf<typeof requestHeader>;
  readonly items: readonly (RequestItem | UnknownRequestItem)[];
}

const requestMessage = structure({
  header: required('RequestHeader', requestHeader),
  items: list(
    'BatchItem',
    structure({
      operation: required('Operation', enumeration),
      id: batchItemId,
      payload: required('RequestPayload', anything),
      extension: optional('MessageExtension', anything),
    }),
  ),
});

/** @throws KmipMessageError for what the version cannot express, TtlvError for values that TTLV cannot hold. */
export function encodeRequest(request: Request): Buffer {
  const { version, credentials } = request;
  const items = request.items.map((item) => {
    const { code, since } = OPERATIONS[item.operation];
    const path = `RequestMessage/BatchItem/${item.operation}`;
    if (!isSince(version, since)) throw new KmipMessageError('KMIP.NOT_IN_VERSION', `KMIP ${version} does not have the operation`, path);
    const payload: TtlvItem = requestShape(item.operation).encode(Tag.RequestPayload, item.payload, { version, path });
    return { operation: code, payload, ...(item.id !== undefined && { id: item.id }) };
  });
  const header: ValueOf<typeof requestHeader> = {
    version: versionNumber(version),
    ...(request.maximumResponseSize !== undefined && { maximumResponseSize: request.maximumResponseSize }),
    ...(credentials !== undefined && {
      authentication: {
        credentials: [
          {
            type: CredentialType.UsernameAndPassword,
            value: usernameAndPassword.encode(Tag.CredentialValue, credentials, { version, path: 'CredentialValue' }),
          },
        ],
      },
    }),
    ...(request.timeStamp !== undefined && { timeStamp: request.timeStamp }),
    attestationTypes: [],
    batchCount: items.length,
  };
  return encodeTtlv(encodeAs({ header, items }, 'RequestMessage', requestMessage, version));
}

/** Reads what a client sent. @throws TtlvError, KmipMessageError */
export function decodeRequest(bytes: Uint8Array, limits: Partial<TtlvLimits> = {}): ReceivedRequest {
  const item = decodeTtlv(bytes, limits);
  const version = versionOfMessage(item, 'RequestHeader', 'RequestMessage');
  const message = decodeAs(item, 'RequestMessage', requestMessage, version);
  if (message.header.batchCount !== message.items.length) {
    throw new KmipMessageError(
      'KMIP.BATCH_COUNT_WRONG',
      `The header promises ${message.header.batchCount} items, ${message.items.length} follow`,
      'RequestMessage/RequestHeader/BatchCount',
    );
  }
  const items = message.items.map(({ operation: code, id, payload }): RequestItem | UnknownRequestItem => {
    const operation = operationOf(code);
    const withId = id === undefined ? {} : { id };
    if (!isSpoken(operation)) return { operation: null, code, ...withId };
    const path = `RequestMessage/BatchItem/${operation}`;
    return { operation, payload: requestShape(operation).decode(payload, { version, path }), ...withId } as RequestItem;
  });
  return { version, header: message.header, items };
}
