import { Tag } from '../vocabulary/tags.js';
import { versionOf, type KmipVersion } from '../vocabulary/versions.js';
import type { TtlvItem } from '../ttlv/item.js';
import { anything, boolean, bytes, dateTime, enumeration, integer, list, optional, required, structure, text } from './fields.js';
import { KmipMessageError } from './message-error.js';
import { authentication, protocolVersion } from './structures.js';

/** KMIP 1.4, section 7.2, in its order. */
export const requestHeader = structure({
  version: required('ProtocolVersion', protocolVersion),
  maximumResponseSize: optional('MaximumResponseSize', integer),
  clientCorrelation: optional('ClientCorrelationValue', text, '1.4'),
  serverCorrelation: optional('ServerCorrelationValue', text, '1.4'),
  asynchronous: optional('AsynchronousIndicator', boolean),
  attestationCapable: optional('AttestationCapableIndicator', boolean, '1.2'),
  attestationTypes: list('AttestationType', enumeration, '1.2'),
  authentication: optional('Authentication', authentication),
  onError: optional('BatchErrorContinuationOption', enumeration),
  batchOrder: optional('BatchOrderOption', boolean),
  timeStamp: optional('TimeStamp', dateTime),
  batchCount: required('BatchCount', integer),
});

export const responseHeader = structure({
  version: required('ProtocolVersion', protocolVersion),
  timeStamp: required('TimeStamp', dateTime),
  nonce: optional('Nonce', anything, '1.2'),
  attestationTypes: list('AttestationType', enumeration, '1.2'),
  clientCorrelation: optional('ClientCorrelationValue', text, '1.4'),
  serverCorrelation: optional('ServerCorrelationValue', text, '1.4'),
  batchCount: required('BatchCount', integer),
});

/** `Unique Batch Item ID`: the answer repeats it. */
export const batchItemId = optional('UniqueBatchItemID', bytes);

/**
 * The version that the header of a message names. It is read before the rest, which means something else in another version;
 * nothing but that has been looked at.
 */
export function versionOfMessage(message: TtlvItem, headerTag: 'RequestHeader' | 'ResponseHeader', path: string): KmipVersion {
  const header = message.type === 'Structure' ? message.value[0] : undefined;
  const item = header?.type === 'Structure' && header.tag === Tag[headerTag] ? header.value[0] : undefined;
  const at = `${path}/${headerTag}/ProtocolVersion`;
  if (item?.tag !== Tag.ProtocolVersion)
    throw new KmipMessageError('KMIP.FIELD_MISSING', 'The message does not begin with its version', at);
  const number = protocolVersion.decode(item, { version: '1.0', path: at });
  const version = versionOf(number);
  if (version === null) throw new KmipMessageError('KMIP.VERSION_UNKNOWN', `KMIP ${number.major}.${number.minor} is not spoken here`, at);
  return version;
}
