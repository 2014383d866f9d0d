import { tagText, type TtlvItem, type TtlvType, type TtlvValues } from '../ttlv/item.js';
import { Tag, tagName, type TagName } from '../vocabulary/tags.js';
import { isSince, type KmipVersion } from '../vocabulary/versions.js';
import { KmipMessageError } from './message-error.js';

/**
 * The grammar in which messages are written down once and read and written from: a structure is an ordered list of fields, each with
 * its tag, the shape of its value, and the version that brought it.
 */

/** Where we are in a message, and in which version it is. */
export interface Place {
  readonly version: KmipVersion;
  readonly path: string;
}

const within = (place: Place, name: string): Place => ({
  version: place.version,
  path: place.path === '' ? name : `${place.path}/${name}`,
});

/** How one kind of value becomes an item and comes back. `decode` gets an item of which nothing but its being TTLV is known. */
export interface Shape<Value> {
  encode(tag: number, value: Value, place: Place): TtlvItem;
  decode(item: TtlvItem, place: Place): Value;
}

/** The value of a shape. */
export type ValueOf<S> = S extends Shape<infer Value> ? Value : never;

const scalar = <Type extends Exclude<TtlvType, 'Structure'>>(type: Type): Shape<TtlvValues[Type]> => ({
  encode: (tag, value) => ({ tag, type, value }) as TtlvItem,
  decode(item, place) {
    if (item.type !== type) throw new KmipMessageError('KMIP.TYPE_WRONG', `The item is a ${item.type}, not a ${type}`, place.path);
    return (item as TtlvItem<Type>).value as TtlvValues[Type];
  },
});

export const text = scalar('TextString');
export const bytes = scalar('ByteString');
export const integer = scalar('Integer');
export const enumeration = scalar('Enumeration');
export const boolean = scalar('Boolean');

/** The range of `Date`: beyond it, seconds are no date. */
const MAX_DATE_SECONDS = 8_640_000_000_000n;

const seconds = scalar('DateTime');

/** A date with the precision of one second. */
export const dateTime: Shape<Date> = {
  encode: (tag, value, place) => {
    const time = Math.floor(value.getTime() / 1000);
    if (Number.isNaN(time)) throw new KmipMessageError('KMIP.VALUE_WRONG', 'The date is invalid', place.path);
    return seconds.encode(tag, BigInt(time), place);
  },
  decode(item, place) {
    const value = seconds.decode(item, place);
    if (value > MAX_DATE_SECONDS || value < -MAX_DATE_SECONDS)
      throw new KmipMessageError('KMIP.VALUE_WRONG', 'The date is out of range', place.path);
    return new Date(Number(value) * 1000);
  },
};

/** Any item, untouched: what the specification leaves open, and structures nobody here looks into. */
export const anything: Shape<TtlvItem> = {
  encode: (tag, value) => ({ ...value, tag }),
  decode: (item) => item,
};

type Presence = 'required' | 'optional' | 'list';

export interface Field<Value, P extends Presence = Presence> {
  readonly tag: TagName;
  readonly shape: Shape<Value>;
  readonly presence: P;
  readonly since: KmipVersion;
}

export const required = <Value>(tag: TagName, shape: Shape<Value>, since: KmipVersion = '1.0'): Field<Value, 'required'> => ({
  tag,
  shape,
  presence: 'required',
  since,
});

export const optional = <Value>(tag: TagName, shape: Shape<Value>, since: KmipVersion = '1.0'): Field<Value, 'optional'> => ({
  tag,
  shape,
  presence: 'optional',
  since,
});

/** Any number of items with the same tag, none included. */
export const list = <Value>(tag: TagName, shape: Shape<Value>, since: KmipVersion = '1.0'): Field<Value, 'list'> => ({
  tag,
  shape,
  presence: 'list',
  since,
});

type Fields = Readonly<Record<string, Field<unknown>>>;
type FieldValue<F> = F extends Field<infer Value> ? Value : never;
type KeysOf<F extends Fields, P extends Presence> = { [K in keyof F]: F[K] extends Field<infer _, P> ? K : never }[keyof F];

/** What a structure looks like in TypeScript. A list may be left out when writing; reading always gives one. */
export type StructureValue<F extends Fields> = { readonly [K in KeysOf<F, 'required'>]: FieldValue<F[K]> } & {
  readonly [K in KeysOf<F, 'optional'>]?: FieldValue<F[K]>;
} & { readonly [K in KeysOf<F, 'list'>]: readonly FieldValue<F[K]>[] };

/** Tags 54xxxx: a vendor may add them anywhere, so they are skipped where nothing expects them. */
const isVendorTag = (tag: number): boolean => tag >>> 16 === 0x54;

/** A structure with exactly these fields in exactly this order. */
export function structure<F extends Fields>(fields: F): Shape<StructureValue<F>> {
  const entries = Object.entries(fields);
  return {
    encode(tag, value, place) {
      const items: TtlvItem[] = [];
      for (const [key, field] of entries) {
        const at = within(place, field.tag);
        const given = (value as Record<string, unknown>)[key];
        const values = field.presence === 'list' ? ((given ?? []) as readonly unknown[]) : given === undefined ? [] : [given];
        if (field.presence === 'required' && values.length === 0)
          throw new KmipMessageError('KMIP.FIELD_MISSING', 'The field is missing', at.path);
        if (values.length > 0 && !isSince(place.version, field.since)) {
          throw new KmipMessageError('KMIP.NOT_IN_VERSION', `KMIP ${place.version} does not have the field`, at.path);
        }
        for (const each of values) items.push(field.shape.encode(Tag[field.tag], each, at));
      }
      return { tag, type: 'Structure', value: items };
    },
    decode(item, place) {
      if (item.type !== 'Structure')
        throw new KmipMessageError('KMIP.TYPE_WRONG', `The item is a ${item.type}, not a Structure`, place.path);
      const items = item.value.filter(({ tag }) => !isVendorTag(tag));
      const result: Record<string, unknown> = {};
      let next = 0;
      for (const [key, field] of entries) {
        const at = within(place, field.tag);
        const values: unknown[] = [];
        // The version is not asked: a server that answers with a newer field means what the newer version says.
        while (items[next]?.tag === Tag[field.tag] && (field.presence === 'list' || values.length === 0)) {
          values.push(field.shape.decode(items[next]!, at));
          next += 1;
        }
        if (field.presence === 'list') result[key] = values;
        else if (values.length > 0) result[key] = values[0];
        else if (field.presence === 'required') {
          const found = items[next];
          const instead = found === undefined ? 'the structure ends' : `${tagName(found.tag)} stands there`;
          throw new KmipMessageError('KMIP.FIELD_MISSING', `The field is missing: ${instead}`, at.path);
        }
      }
      const extra = items[next];
      if (extra !== undefined) {
        throw new KmipMessageError('KMIP.FIELD_UNEXPECTED', 'The field is not expected here', within(place, tagName(extra.tag)).path);
      }
      return result as StructureValue<F>;
    },
  };
}

/** Reads a whole message or part of one whose tag must be this. */
export function decodeAs<Value>(item: TtlvItem, tag: TagName, shape: Shape<Value>, version: KmipVersion): Value {
  if (item.tag !== Tag[tag]) throw new KmipMessageError('KMIP.FIELD_UNEXPECTED', `The item is not a ${tag}`, tagText(item.tag));
  return shape.decode(item, { version, path: tag });
}

export const encodeAs = <Value>(value: Value, tag: TagName, shape: Shape<Value>, version: KmipVersion): TtlvItem =>
  shape.encode(Tag[tag], value, { version, path: tag });
