import { enumeration, optional, required, structure, text } from '../fields.js';
import { managedObjectFields } from '../structures.js';
import { templateAttribute } from './template-attribute.js';

export const registerRequest = structure({
  objectType: required('ObjectType', enumeration),
  template: required('TemplateAttribute', templateAttribute),
  ...managedObjectFields,
});

export const registerResponse = structure({
  uniqueIdentifier: required('UniqueIdentifier', text),
  template: optional('TemplateAttribute', templateAttribute),
});
