import { decodeTtlv } from '../ttlv/decode.js';
import { encodeTtlv } from '../ttlv/encode.js';
import type { TtlvItem, TtlvLimits } from '../ttlv/item.js';
import { ResultStatus } from '../vocabulary/enumerations.js';
import { operationOf, OPERATIONS, type AnyOperationName } from '../vocabulary/operations.js';
import { Tag } from '../vocabulary/tags.js';
import { versionNumber, type KmipVersion } from '../vocabulary/versions.js';
import { anything, bytes, decodeAs, encodeAs, enumeration, list, optional, required, structure, text, type ValueOf } from './fields.js';
import { batchItemId, responseHeader, versionOfMessage } from './header.js';
import { KmipMessageError } from './message-error.js';
import { isSpoken, responseShape, type OperationName, type ResponsePayload } from './operation-messages.js';

/** An operation that succeeded. */
export type SuccessItem<O extends OperationName = OperationName> = {
  readonly [Each in O]: {
    readonly status: 'Success';
    readonly operation: Each;
    readonly payload: ResponsePayload<Each>;
    readonly id?: Uint8Array;
  };
}[O];

/** An operation that did not succeed, or not yet. */
export interface FailureItem {
  readonly status: 'OperationFailed' | 'OperationPending' | 'OperationUndone';
  /** Missing where a server could not read the request far enough to know. */
  readonly operation?: AnyOperationName;
  /** A `ResultReason`; null when the server gave none. */
  readonly reason: number | null;
  /** The server's own words. A server should always give some: libkmip, inside some MongoDB servers, crashes without. */
  readonly message: string | null;
  readonly id?: Uint8Array;
}

export interface Response {
  readonly version: KmipVersion;
  readonly timeStamp: Date;
  readonly items: readonly (SuccessItem | FailureItem)[];
}

const responseMessage = structure({
  header: required('ResponseHeader', responseHeader),
  items: list(
    'BatchItem',
    structure({
      operation: optional('Operation', enumeration),
      id: batchItemId,
      status: required('ResultStatus', enumeration),
      reason: optional('ResultReason', enumeration),
      message: optional('ResultMessage', text),
      asynchronousCorrelation: optional('AsynchronousCorrelationValue', bytes),
      payload: optional('ResponsePayload', anything),
      extension: optional('MessageExtension', anything),
    }),
  ),
});

type WireItem = ValueOf<typeof responseMessage>['items'][number];

const FAILURES = new Map<number, FailureItem['status']>([
  [ResultStatus.OperationFailed, 'OperationFailed'],
  [ResultStatus.OperationPending, 'OperationPending'],
  [ResultStatus.OperationUndone, 'OperationUndone'],
]);

/** @throws KmipMessageError for what the version cannot express, TtlvError for values that TTLV cannot hold. */
export function encodeResponse(response: Response): Buffer {
  const { version, timeStamp } = response;
  const items = response.items.map((item): WireItem => {
    const withId = item.id === undefined ? {} : { id: item.id };
    if (item.status !== 'Success') {
      return {
        ...(item.operation !== undefined && { operation: OPERATIONS[item.operation].code }),
        ...withId,
        status: ResultStatus[item.status],
        ...(item.reason !== null && { reason: item.reason }),
        ...(item.message !== null && { message: item.message }),
      };
    }
    const path = `ResponseMessage/BatchItem/${item.operation}`;
    const payload: TtlvItem = responseShape(item.operation).encode(Tag.ResponsePayload, item.payload, { version, path });
    return { operation: OPERATIONS[item.operation].code, ...withId, status: ResultStatus.Success, payload };
  });
  const header = { version: versionNumber(version), timeStamp, attestationTypes: [], batchCount: items.length };
  return encodeTtlv(encodeAs({ header, items }, 'ResponseMessage', responseMessage, version));
}

/** Reads what a server sent. @throws TtlvError, KmipMessageError */
export function decodeResponse(bytes: Uint8Array, limits: Partial<TtlvLimits> = {}): Response {
  const item = decodeTtlv(bytes, limits);
  const version = versionOfMessage(item, 'ResponseHeader', 'ResponseMessage');
  const message = decodeAs(item, 'ResponseMessage', responseMessage, version);
  if (message.header.batchCount !== message.items.length) {
    throw new KmipMessageError(
      'KMIP.BATCH_COUNT_WRONG',
      `The header promises ${message.header.batchCount} items, ${message.items.length} follow`,
      'ResponseMessage/ResponseHeader/BatchCount',
    );
  }
  return { version, timeStamp: message.header.timeStamp, items: message.items.map((each) => itemOf(each, version)) };
}

function itemOf(item: WireItem, version: KmipVersion): SuccessItem | FailureItem {
  const path = 'ResponseMessage/BatchItem';
  const operation = item.operation === undefined ? undefined : operationOf(item.operation);
  const withId = item.id === undefined ? {} : { id: item.id };
  if (item.status !== ResultStatus.Success) {
    const status = FAILURES.get(item.status);
    if (status === undefined) throw new KmipMessageError('KMIP.VALUE_WRONG', 'There is no such result status', `${path}/ResultStatus`);
    const withOperation = operation === undefined ? {} : { operation };
    return { status, ...withOperation, reason: item.reason ?? null, message: item.message ?? null, ...withId };
  }
  if (item.operation === undefined)
    throw new KmipMessageError('KMIP.FIELD_MISSING', 'A success does not name its operation', `${path}/Operation`);
  if (!isSpoken(operation)) throw new KmipMessageError('KMIP.OPERATION_UNKNOWN', 'The operation is not spoken here', `${path}/Operation`);
  // An answer without content may leave its payload out.
  const payload: TtlvItem = item.payload ?? { tag: Tag.ResponsePayload, type: 'Structure', value: [] };
  return {
    status: 'Success',
    operation,
    payload: responseShape(operation).decode(payload, { version, path: `${path}/${operation}` }),
    ...withId,
  } as SuccessItem;
}
