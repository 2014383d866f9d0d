import { attribute } from '../attributes.js';
import { list, structure } from '../fields.js';
import { name } from '../structures.js';

/** The attributes of a new object; the names are those of templates, which KMIP 1.4 gave up. */
export const templateAttribute = structure({
  names: list('Name', name),
  attributes: list('Attribute', attribute),
});
