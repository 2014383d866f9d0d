import { dateTime, optional, required, structure, text } from '../fields.js';
import { revocationReason } from '../structures.js';

/** To Compromised with the reasons KeyCompromise and CACompromise, to Deactivated with every other. Neither has a way back. */
export const revokeRequest = structure({
  uniqueIdentifier: optional('UniqueIdentifier', text),
  reason: required('RevocationReason', revocationReason),
  compromisedAt: optional('CompromiseOccurrenceDate', dateTime),
});

export const revokeResponse = structure({ uniqueIdentifier: required('UniqueIdentifier', text) });
