import { list, optional, required, structure, text } from '../fields.js';

export const getAttributeListRequest = structure({ uniqueIdentifier: optional('UniqueIdentifier', text) });

export const getAttributeListResponse = structure({
  uniqueIdentifier: required('UniqueIdentifier', text),
  names: list('AttributeName', text),
});
