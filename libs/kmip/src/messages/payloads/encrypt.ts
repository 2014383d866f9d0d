import { boolean, bytes, optional, required, structure, text } from '../fields.js';
import { cryptographicParameters } from '../structures.js';

export const encryptRequest = structure({
  uniqueIdentifier: optional('UniqueIdentifier', text),
  parameters: optional('CryptographicParameters', cryptographicParameters),
  data: optional('Data', bytes),
  iv: optional('IVCounterNonce', bytes),
  correlation: optional('CorrelationValue', bytes, '1.3'),
  init: optional('InitIndicator', boolean, '1.3'),
  final: optional('FinalIndicator', boolean, '1.3'),
  additionalData: optional('AuthenticatedEncryptionAdditionalData', bytes, '1.4'),
});

export const encryptResponse = structure({
  uniqueIdentifier: required('UniqueIdentifier', text),
  data: optional('Data', bytes),
  iv: optional('IVCounterNonce', bytes),
  correlation: optional('CorrelationValue', bytes, '1.3'),
  tag: optional('AuthenticatedEncryptionTag', bytes, '1.4'),
});
