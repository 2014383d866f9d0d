import { anything, enumeration, optional, required, structure, text } from '../fields.js';
import { managedObjectFields } from '../structures.js';

export const getRequest = structure({
  uniqueIdentifier: optional('UniqueIdentifier', text),
  format: optional('KeyFormatType', enumeration),
  compression: optional('KeyCompressionType', enumeration),
  wrapping: optional('KeyWrappingSpecification', anything),
});

export const getResponse = structure({
  objectType: required('ObjectType', enumeration),
  uniqueIdentifier: required('UniqueIdentifier', text),
  ...managedObjectFields,
});
