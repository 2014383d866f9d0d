/**
 * Enumerations of KMIP 1.x by their names in the specification (KMIP 1.4, section 9.1.3.2). A number that is not listed is still a
 * legal value: it is read and written as it is, and `nameOf` shows it as hexadecimal.
 */
export type Enumeration = Readonly<Record<string, number>>;

/** The name of a value, or `0x0000002A` when it has none here. */
export const nameOf = (enumeration: Enumeration, value: number): string =>
  Object.keys(enumeration).find((name) => enumeration[name] === value) ?? `0x${value.toString(16).toUpperCase().padStart(8, '0')}`;

export const ObjectType = {
  Certificate: 1,
  SymmetricKey: 2,
  PublicKey: 3,
  PrivateKey: 4,
  SplitKey: 5,
  Template: 6,
  SecretData: 7,
  OpaqueObject: 8,
} as const;

export const ResultStatus = { Success: 0, OperationFailed: 1, OperationPending: 2, OperationUndone: 3 } as const;

/** Numbers up to 18 and GeneralFailure are of KMIP 1.x; the others came with 2.0, but servers send them to older clients too. */
export const ResultReason = {
  ItemNotFound: 0x01,
  ResponseTooLarge: 0x02,
  AuthenticationNotSuccessful: 0x03,
  InvalidMessage: 0x04,
  OperationNotSupported: 0x05,
  MissingData: 0x06,
  InvalidField: 0x07,
  FeatureNotSupported: 0x08,
  OperationCanceledByRequester: 0x09,
  CryptographicFailure: 0x0a,
  IllegalOperation: 0x0b,
  PermissionDenied: 0x0c,
  ObjectArchived: 0x0d,
  IndexOutOfBounds: 0x0e,
  ApplicationNamespaceNotSupported: 0x0f,
  KeyFormatTypeNotSupported: 0x10,
  KeyCompressionTypeNotSupported: 0x11,
  EncodingOptionError: 0x12,
  KeyValueNotPresent: 0x13,
  AttestationRequired: 0x14,
  AttestationFailed: 0x15,
  Sensitive: 0x16,
  NotExtractable: 0x17,
  ObjectAlreadyExists: 0x18,
  InternalServerError: 0x2a,
  ObjectDestroyed: 0x36,
  ObjectNotFound: 0x37,
  NotAuthorised: 0x39,
  ServerLimitExceeded: 0x3a,
  UnsupportedProtocolVersion: 0x3f,
  WrongKeyLifecycleState: 0x43,
  GeneralFailure: 0x100,
} as const;

export const State = { PreActive: 1, Active: 2, Deactivated: 3, Compromised: 4, Destroyed: 5, DestroyedCompromised: 6 } as const;

export const KeyFormatType = {
  Raw: 1,
  Opaque: 2,
  PKCS1: 3,
  PKCS8: 4,
  X509: 5,
  ECPrivateKey: 6,
  TransparentSymmetricKey: 7,
} as const;

export const CryptographicAlgorithm = {
  DES: 1,
  TripleDES: 2,
  AES: 3,
  RSA: 4,
  DSA: 5,
  ECDSA: 6,
  HMACSHA256: 9,
  EC: 0x1a,
  ChaCha20: 0x1c,
} as const;

/** Bits of an Integer, not an enumeration on the wire. */
export const CryptographicUsage = {
  Sign: 0x01,
  Verify: 0x02,
  Encrypt: 0x04,
  Decrypt: 0x08,
  WrapKey: 0x10,
  UnwrapKey: 0x20,
  Export: 0x40,
  MACGenerate: 0x80,
  MACVerify: 0x100,
  DeriveKey: 0x200,
} as const;

export const NameType = { UninterpretedTextString: 1, URI: 2 } as const;

export const CredentialType = { UsernameAndPassword: 1, Device: 2, Attestation: 3 } as const;

export const SecretDataType = { Password: 1, Seed: 2 } as const;

export const CertificateType = { X509: 1, PGP: 2 } as const;

export const QueryFunction = {
  QueryOperations: 1,
  QueryObjects: 2,
  QueryServerInformation: 3,
  QueryApplicationNamespaces: 4,
  QueryExtensionList: 5,
  QueryExtensionMap: 6,
} as const;

export const RevocationReasonCode = {
  Unspecified: 1,
  KeyCompromise: 2,
  CACompromise: 3,
  AffiliationChanged: 4,
  Superseded: 5,
  CessationOfOperation: 6,
  PrivilegeWithdrawn: 7,
} as const;

export const BlockCipherMode = { CBC: 1, ECB: 2, CTR: 6, CCM: 8, GCM: 9, XTS: 0x0b, NISTKeyWrap: 0x0d, AEAD: 0x12 } as const;

export const PaddingMethod = { None: 1, OAEP: 2, PKCS5: 3, PKCS1v15: 8 } as const;

export const BatchErrorContinuation = { Continue: 1, Stop: 2, Undo: 3 } as const;
