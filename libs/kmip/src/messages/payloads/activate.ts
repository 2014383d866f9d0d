import { optional, required, structure, text } from '../fields.js';

/** Pre-Active to Active; servers refuse every other state. */
export const activateRequest = structure({ uniqueIdentifier: optional('UniqueIdentifier', text) });

export const activateResponse = structure({ uniqueIdentifier: required('UniqueIdentifier', text) });
