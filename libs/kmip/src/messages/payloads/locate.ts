import { attribute } from '../attributes.js';
import { enumeration, integer, list, optional, structure, text } from '../fields.js';

export const locateRequest = structure({
  maximumItems: optional('MaximumItems', integer),
  offsetItems: optional('OffsetItems', integer, '1.3'),
  storageStatusMask: optional('StorageStatusMask', integer),
  groupMember: optional('ObjectGroupMember', enumeration, '1.1'),
  attributes: list('Attribute', attribute),
});

export const locateResponse = structure({
  locatedItems: optional('LocatedItems', integer, '1.3'),
  uniqueIdentifiers: list('UniqueIdentifier', text),
});
