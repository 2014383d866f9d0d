/** Why well-formed TTLV is not the message it should be. */
export type KmipMessageErrorCode =
  | 'KMIP.FIELD_MISSING'
  /** An item that the structure does not have, or not at this place: the order of fields is fixed. */
  | 'KMIP.FIELD_UNEXPECTED'
  /** The right tag with another item type than the specification gives it. */
  | 'KMIP.TYPE_WRONG'
  | 'KMIP.VALUE_WRONG'
  /** A field, operation or attribute that the version of the message does not have. */
  | 'KMIP.NOT_IN_VERSION'
  /** The header names a version that is not spoken here. */
  | 'KMIP.VERSION_UNKNOWN'
  | 'KMIP.OPERATION_UNKNOWN'
  | 'KMIP.BATCH_COUNT_WRONG'
  /** The answer does not belong to the question. */
  | 'KMIP.ANSWER_MISMATCH';

/** Well-formed TTLV that is not the KMIP message it should be, or a message that its version cannot express. Never shows a value. */
export class KmipMessageError extends Error {
  constructor(
    readonly code: KmipMessageErrorCode,
    what: string,
    /** Names from the message to the field: `ResponseMessage/BatchItem/ResponsePayload/UniqueIdentifier`. */
    readonly path: string,
  ) {
    super(path === '' ? what : `${what} (${path})`);
    this.name = 'KmipMessageError';
  }
}
