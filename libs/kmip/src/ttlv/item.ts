/** Item types of KMIP 1.x with their code on the wire. Date-Time Extended (0B) belongs to KMIP 2.0 and is refused as unknown. */
export const TTLV_TYPE_CODES = {
  Structure: 0x01,
  Integer: 0x02,
  LongInteger: 0x03,
  BigInteger: 0x04,
  Enumeration: 0x05,
  Boolean: 0x06,
  TextString: 0x07,
  ByteString: 0x08,
  DateTime: 0x09,
  Interval: 0x0a,
} as const;

export type TtlvType = keyof typeof TTLV_TYPE_CODES;

/** The value of each item type. */
export interface TtlvValues {
  readonly Structure: readonly TtlvItem[];
  /** 32 bits, signed. */
  readonly Integer: number;
  /** 64 bits, signed. */
  readonly LongInteger: bigint;
  readonly BigInteger: bigint;
  /** 32 bits, unsigned; what the numbers mean depends on the tag. */
  readonly Enumeration: number;
  readonly Boolean: boolean;
  /** Well-formed Unicode without NUL. */
  readonly TextString: string;
  /** When decoded: a view of the message's own bytes, so that filling it with zeros wipes the only copy. */
  readonly ByteString: Uint8Array;
  /** Seconds since 1970-01-01T00:00:00Z, 64 bits, signed. */
  readonly DateTime: bigint;
  /** Seconds, 32 bits, unsigned. */
  readonly Interval: number;
}

/** One item of a message: tag, type and value. The codec knows neither what a tag means nor where it may stand. */
export type TtlvItem<Type extends TtlvType = TtlvType> = {
  readonly [Each in Type]: {
    /** Three bytes: 42xxxx for the standard's tags, 54xxxx for a vendor's. */
    readonly tag: number;
    readonly type: Each;
    readonly value: TtlvValues[Each];
  };
}[Type];

/** Tag, type and length of every item. */
export const HEADER_BYTES = 8;

/** Values are padded with zeros to a multiple of this. */
export const ALIGNMENT = 8;

/** The bytes of a value of `length` bytes with its padding. */
export const paddedLength = (length: number): number => Math.ceil(length / ALIGNMENT) * ALIGNMENT;

/** What one message may demand of us. A limit is checked before anything is read or allocated for what it limits. */
export interface TtlvLimits {
  /** Header included. 1 MiB: a thousand keys' worth of attributes; PyKMIP allows itself the same. */
  readonly maxMessageBytes: number;
  /** Structures inside each other. 24: the deepest that KMIP 1.4 defines is 10. */
  readonly maxDepth: number;
  /** Items in the whole message. 20,000: a Locate that finds a thousand keys has 1,020. */
  readonly maxItems: number;
}

export const DEFAULT_TTLV_LIMITS: TtlvLimits = { maxMessageBytes: 1024 * 1024, maxDepth: 24, maxItems: 20_000 };

/** Whether a number is a tag that KMIP allows: of the standard (42xxxx) or of a vendor (54xxxx). */
export const isTag = (tag: number): boolean => tag >>> 16 === 0x42 || tag >>> 16 === 0x54;

/** `420078`. */
export const tagText = (tag: number): string => tag.toString(16).padStart(6, '0').toUpperCase();
