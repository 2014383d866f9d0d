/** What is wrong with bytes that should be TTLV, or with an item that should become bytes. */
export type TtlvErrorCode =
  /** The bytes end before the item does. */
  | 'TTLV.TRUNCATED'
  /** The item is longer than the structure around it. */
  | 'TTLV.OVERRUN'
  /** More bytes follow the message. */
  | 'TTLV.TRAILING_BYTES'
  /** The message is larger than the limit. */
  | 'TTLV.TOO_LARGE'
  | 'TTLV.TOO_DEEP'
  | 'TTLV.TOO_MANY_ITEMS'
  /** Neither 42xxxx nor 54xxxx. */
  | 'TTLV.TAG_INVALID'
  | 'TTLV.TYPE_UNKNOWN'
  /** The length is not one that the type can have. */
  | 'TTLV.LENGTH_WRONG'
  /** Padding that is not zero. */
  | 'TTLV.PADDING_WRONG'
  /** A value that its type cannot have: a boolean 2, text that is not UTF-8, an integer of 33 bits. */
  | 'TTLV.VALUE_WRONG';

/** Bytes are not TTLV, or an item cannot be written as TTLV. Says where; never shows a value. */
export class TtlvError extends Error {
  constructor(
    readonly code: TtlvErrorCode,
    what: string,
    /** Of the item's first byte within the message. */
    readonly offset: number,
    /** Tags from the outermost structure to the item, each with its position in the structure: `42007B/42000F[1]/42007C[3]`. */
    readonly path: string,
  ) {
    super(`${what} (byte ${offset}${path === '' ? '' : `, ${path}`})`);
    this.name = 'TtlvError';
  }
}
