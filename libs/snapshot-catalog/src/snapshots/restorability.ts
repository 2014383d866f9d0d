import type { Restorability } from '@atrest/contracts';
import { keyStanding, restorability as ofStanding } from '../key-usage/key-standing.js';
import type { KnownKeyConfiguration } from '../projections/key-configuration-projection.js';
import { meaningOf } from '../proof/proof-policy.js';
import type { Snapshot } from './snapshot-state.js';

const notNow = (reason: string): Restorability => ({ kind: 'NOT_NOW', reason });
const never = (reason: string): Restorability => ({ kind: 'NEVER', reason });

/** Whether a snapshot could be restored, by what is known now: what the last proof found, and what the validity checks say of its key. */
export function restorability(
  snapshot: Pick<Snapshot, 'status' | 'provider' | 'encryptionKeyId' | 'proofFailure'>,
  configurations: readonly KnownKeyConfiguration[],
): Restorability {
  const { status, provider, encryptionKeyId, proofFailure } = snapshot;
  if (status === 'failed') return never('The snapshot failed.');
  if (status !== 'completed') return notNow('The snapshot is not completed.');
  if (proofFailure !== null && meaningOf(proofFailure.code) === 'broken') return never(proofFailure.detail);
  if (encryptionKeyId === null || provider === 'NONE') return { kind: 'YES' };
  const byKey = ofStanding(keyStanding({ provider, encryptionKeyId }, configurations));
  return byKey.kind === 'YES' && proofFailure !== null ? notNow(proofFailure.detail) : byKey;
}
