import { enumeration, optional, required, structure, text } from '../fields.js';
import { templateAttribute } from './template-attribute.js';

export const createRequest = structure({
  objectType: required('ObjectType', enumeration),
  template: required('TemplateAttribute', templateAttribute),
});

export const createResponse = structure({
  objectType: required('ObjectType', enumeration),
  uniqueIdentifier: required('UniqueIdentifier', text),
  template: optional('TemplateAttribute', templateAttribute),
});
