import { attribute } from '../attributes.js';
import { list, optional, required, structure, text } from '../fields.js';

/** No names ask for all attributes. */
export const getAttributesRequest = structure({
  uniqueIdentifier: optional('UniqueIdentifier', text),
  names: list('AttributeName', text),
});

export const getAttributesResponse = structure({
  uniqueIdentifier: required('UniqueIdentifier', text),
  attributes: list('Attribute', attribute),
});
