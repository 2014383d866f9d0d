export { decodeTtlv } from './ttlv/decode.js';
export { encodeTtlv } from './ttlv/encode.js';
export { DEFAULT_TTLV_LIMITS, type TtlvItem, type TtlvLimits, type TtlvType, type TtlvValues } from './ttlv/item.js';
export { MessageFrames } from './ttlv/message-frames.js';
export { TtlvError, type TtlvErrorCode } from './ttlv/ttlv-error.js';

export { ATTRIBUTES, type AttributeFacts, type AttributeName } from './vocabulary/attributes.js';
export {
  BatchErrorContinuation,
  BlockCipherMode,
  CertificateType,
  CredentialType,
  CryptographicAlgorithm,
  CryptographicUsage,
  KeyFormatType,
  nameOf,
  NameType,
  ObjectType,
  PaddingMethod,
  QueryFunction,
  ResultReason,
  ResultStatus,
  RevocationReasonCode,
  SecretDataType,
  State,
  type Enumeration,
} from './vocabulary/enumerations.js';
export { operationOf, OPERATIONS, type AnyOperationName, type OperationFacts } from './vocabulary/operations.js';
export { Tag, tagName, type TagName } from './vocabulary/tags.js';
export { isSince, KMIP_VERSIONS, versionNumber, versionOf, type KmipVersion, type VersionNumber } from './vocabulary/versions.js';

export { makeAttribute, readAttribute, type Attribute, type AttributeValue, type ReadableAttribute } from './messages/attributes.js';
export { KmipMessageError, type KmipMessageErrorCode } from './messages/message-error.js';
export {
  isSpoken,
  OPERATION_MESSAGES,
  type OperationName,
  type RequestPayload,
  type ResponsePayload,
} from './messages/operation-messages.js';
export {
  decodeRequest,
  encodeRequest,
  type ReceivedRequest,
  type Request,
  type RequestItem,
  type UnknownRequestItem,
} from './messages/request-message.js';
export { decodeResponse, encodeResponse, type FailureItem, type Response, type SuccessItem } from './messages/response-message.js';

export { certificateEnd, type KmipTlsOptions } from './client/client-credentials.js';
export {
  KmipClosedError,
  KmipConnectionError,
  KmipHostsError,
  KmipOperationError,
  KmipVersionError,
  type ConnectionPhase,
  type KmipConnectionErrorCode,
  type KmipHost,
} from './client/errors.js';
export { KmipClient, type KmipClientOptions } from './client/kmip-client.js';
