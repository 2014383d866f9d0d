import {
  anything,
  boolean,
  bytes,
  enumeration,
  integer,
  list,
  optional,
  required,
  structure,
  text,
  type Shape,
  type ValueOf,
} from './fields.js';
import { KmipMessageError } from './message-error.js';

/** Structures that several messages share (KMIP 1.4, sections 2 and 3). */

export const protocolVersion = structure({
  major: required('ProtocolVersionMajor', integer),
  minor: required('ProtocolVersionMinor', integer),
});

export const name = structure({
  value: required('NameValue', text),
  type: required('NameType', enumeration),
});

export const revocationReason = structure({
  code: required('RevocationReasonCode', enumeration),
  message: optional('RevocationMessage', text),
});

export const cryptographicParameters = structure({
  blockCipherMode: optional('BlockCipherMode', enumeration),
  paddingMethod: optional('PaddingMethod', enumeration),
  hashingAlgorithm: optional('HashingAlgorithm', enumeration),
  keyRoleType: optional('KeyRoleType', enumeration),
  digitalSignatureAlgorithm: optional('DigitalSignatureAlgorithm', enumeration, '1.2'),
  cryptographicAlgorithm: optional('CryptographicAlgorithm', enumeration, '1.2'),
  randomIv: optional('RandomIV', boolean, '1.2'),
  ivLength: optional('IVLength', integer, '1.2'),
  tagLength: optional('TagLength', integer, '1.2'),
  fixedFieldLength: optional('FixedFieldLength', integer, '1.2'),
  invocationFieldLength: optional('InvocationFieldLength', integer, '1.2'),
  counterLength: optional('CounterLength', integer, '1.2'),
  initialCounterValue: optional('InitialCounterValue', integer, '1.2'),
});

/** Who asks, beside the client certificate: few servers want it. */
export const authentication = structure({
  credentials: list(
    'Credential',
    structure({
      type: required('CredentialType', enumeration),
      value: required('CredentialValue', anything),
    }),
  ),
});

/** `CredentialValue` of a user name and password. */
export const usernameAndPassword = structure({
  username: required('Username', text),
  password: optional('Password', text),
});

/** Key material in clear: bytes for every format but the transparent ones, which are structures and left as they are. */
const keyMaterial: Shape<Uint8Array | ValueOf<typeof anything>> = {
  encode: (tag, value, place) => (value instanceof Uint8Array ? bytes.encode(tag, value, place) : anything.encode(tag, value, place)),
  decode(item, place) {
    if (item.type !== 'ByteString' && item.type !== 'Structure') {
      throw new KmipMessageError('KMIP.TYPE_WRONG', `Key material is a ByteString or a Structure, not a ${item.type}`, place.path);
    }
    return item.type === 'ByteString' ? item.value : item;
  },
};

const clearKeyValue = structure({
  material: required('KeyMaterial', keyMaterial),
  // What the server may add to the key. MongoDB's clients fail on any, so a server should add none.
  attributes: list('Attribute', anything),
});

/** A wrapped key travels as bytes instead of a structure. */
const keyValue: Shape<Uint8Array | ValueOf<typeof clearKeyValue>> = {
  encode: (tag, value, place) => (value instanceof Uint8Array ? bytes.encode(tag, value, place) : clearKeyValue.encode(tag, value, place)),
  decode: (item, place) => (item.type === 'ByteString' ? item.value : clearKeyValue.decode(item, place)),
};

export const keyBlock = structure({
  format: required('KeyFormatType', enumeration),
  compression: optional('KeyCompressionType', enumeration),
  // Optional since 1.2: a server may hold the facts of a key whose value is elsewhere.
  value: optional('KeyValue', keyValue),
  algorithm: optional('CryptographicAlgorithm', enumeration),
  length: optional('CryptographicLength', integer),
  wrapping: optional('KeyWrappingData', anything),
});

const keyObject = structure({ block: required('KeyBlock', keyBlock) });

/**
 * The object of Get and Register: exactly one of these. Split keys and templates are not read here; their answer is refused as
 * unexpected.
 */
export const managedObjectFields = {
  certificate: optional(
    'Certificate',
    structure({ type: required('CertificateType', enumeration), value: required('CertificateValue', bytes) }),
  ),
  symmetricKey: optional('SymmetricKey', keyObject),
  publicKey: optional('PublicKey', keyObject),
  privateKey: optional('PrivateKey', keyObject),
  secretData: optional('SecretData', structure({ type: required('SecretDataType', enumeration), block: required('KeyBlock', keyBlock) })),
  opaqueObject: optional(
    'OpaqueObject',
    structure({ type: required('OpaqueDataType', enumeration), value: required('OpaqueDataValue', bytes) }),
  ),
};
