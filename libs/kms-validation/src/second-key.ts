import type { KeyProviderName, SecondKeyRole } from '@atrest/contracts';
import { isUnreachable } from '@atrest/kms';
import type { KeyConfiguration } from './key-configuration.js';
import type { Validity } from './validity-policy.js';

/** The provider that a project's policy names beside another, with its configuration where there is one. */
export interface SecondKey {
  readonly provider: KeyProviderName;
  readonly configuration: KeyConfiguration | null;
}

/**
 * What the second key of a configuration may do. It takes part in no check and no verdict: the first alone decides whether databases run. Pure.
 *
 * A first key that is suspected, held or gone bars the second before anything else is looked at, so that a revocation takes everything away. So does one
 * that is VALID only because its suspicion grew too old to count: it was not proven usable since.
 */
export function secondKeyRole(first: Validity, second: Validity | null): SecondKeyRole {
  if (first.state !== 'VALID' || first.lastProvenAt === null || first.lastProvenAt < first.since) return 'BARRED_BY_FIRST';
  if (second === null) return 'NOT_CONFIGURED';
  if (second.state !== 'VALID' || second.unreachableSince !== null) return 'NOT_USABLE';
  return first.unreachableSince !== null && isUnreachable(first.lastEvidence?.reason ?? null) ? 'STANDS_IN' : 'WAITS';
}

/** Whether access to the second key may be given beside the first. Who has both asks the first, and the second only where the first cannot be asked. */
export const mayBeHandedOut = (role: SecondKeyRole): boolean => role === 'WAITS' || role === 'STANDS_IN';
