import type { TtlvItem } from '../ttlv/item.js';
import { ATTRIBUTES, type AttributeFacts, type AttributeName } from '../vocabulary/attributes.js';
import { isSince } from '../vocabulary/versions.js';
import {
  anything,
  boolean,
  dateTime,
  enumeration,
  integer,
  optional,
  required,
  structure,
  text,
  type Shape,
  type ValueOf,
} from './fields.js';
import { KmipMessageError } from './message-error.js';
import { cryptographicParameters, name, revocationReason } from './structures.js';

const attributeFields = structure({
  name: required('AttributeName', text),
  index: optional('AttributeIndex', integer),
  value: required('AttributeValue', anything),
});

/** An attribute as it travels; `readAttribute` gives its value. */
export type Attribute = ValueOf<typeof attributeFields>;

const factsOf = (attributeName: string): AttributeFacts | undefined =>
  Object.hasOwn(ATTRIBUTES, attributeName) ? ATTRIBUTES[attributeName as AttributeName] : undefined;

/** Refuses to write an attribute that the version does not have: real clients fail on a whole answer because of one. */
export const attribute: Shape<Attribute> = {
  encode(tag, value, place) {
    const facts = factsOf(value.name);
    if (facts !== undefined && !isSince(place.version, facts.since)) {
      throw new KmipMessageError('KMIP.NOT_IN_VERSION', `KMIP ${place.version} does not have the attribute '${value.name}'`, place.path);
    }
    return attributeFields.encode(tag, value, place);
  },
  decode: (item, place) => attributeFields.decode(item, place),
};

const STRUCTURED = {
  Name: name,
  'Cryptographic Parameters': cryptographicParameters,
  'Revocation Reason': revocationReason,
} as const;

const BY_TYPE = {
  TextString: text,
  Integer: integer,
  Enumeration: enumeration,
  Boolean: boolean,
  DateTime: dateTime,
} as const;

/** Attributes whose values are read and written here. */
export type ReadableAttribute = {
  [N in AttributeName]: N extends keyof typeof STRUCTURED ? N : (typeof ATTRIBUTES)[N]['type'] extends keyof typeof BY_TYPE ? N : never;
}[AttributeName];

/** The value of an attribute: numbers for enumerations and masks, `Date` for dates. */
export type AttributeValue<N extends ReadableAttribute> = N extends keyof typeof STRUCTURED
  ? ValueOf<(typeof STRUCTURED)[N]>
  : (typeof ATTRIBUTES)[N]['type'] extends keyof typeof BY_TYPE
    ? ValueOf<(typeof BY_TYPE)[(typeof ATTRIBUTES)[N]['type']]>
    : never;

const shapeOf = (attributeName: ReadableAttribute): Shape<unknown> =>
  Object.hasOwn(STRUCTURED, attributeName)
    ? STRUCTURED[attributeName as keyof typeof STRUCTURED]
    : BY_TYPE[ATTRIBUTES[attributeName].type as keyof typeof BY_TYPE];

const ATTRIBUTE_VALUE = 0x42000b;
// The structures among the values have the same fields in all versions until 1.1; what came later is refused by their own fields.
const place = (attributeName: string) => ({ version: '1.4', path: `Attribute '${attributeName}'` }) as const;

/** An attribute with a value of the right type. */
export function makeAttribute<N extends ReadableAttribute>(attributeName: N, value: AttributeValue<N>): Attribute {
  const item: TtlvItem = shapeOf(attributeName).encode(ATTRIBUTE_VALUE, value, place(attributeName));
  return { name: attributeName, value: item };
}

/** The value of the first attribute with this name; undefined when there is none. Throws `KmipMessageError` when its type is another one. */
export function readAttribute<N extends ReadableAttribute>(
  attributes: readonly Attribute[],
  attributeName: N,
): AttributeValue<N> | undefined {
  const found = attributes.find((each) => each.name === attributeName);
  return found === undefined ? undefined : (shapeOf(attributeName).decode(found.value, place(attributeName)) as AttributeValue<N>);
}
