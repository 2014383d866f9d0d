import { optional, required, structure, text } from '../fields.js';

/** An Active key must be revoked first. */
export const destroyRequest = structure({ uniqueIdentifier: optional('UniqueIdentifier', text) });

export const destroyResponse = structure({ uniqueIdentifier: required('UniqueIdentifier', text) });
