import type { ClusterDocument, EncryptionAtRestProvider } from '@atrest/contracts';
import { Refusal } from '../../refusal.js';

/**
 * Version 2023-01-01 has two switches: `providerBackupEnabled` is the backup that there is, `backupEnabled` the one before it, which read what it copied.
 * Later versions have one switch, named like the old one.
 */
export const asksForLegacyBackup = (version: string, document: ClusterDocument): boolean =>
  version === '2023-01-01' && document.backupEnabled === true;

/**
 * Without a customer key, who still sends the old switch gets the backup that there is. With one that would be another thing than was asked for, and one that
 * never went together with a customer key.
 * @throws {Refusal} INVALID_CLUSTER_CONFIGURATION
 */
export function refuseLegacyBackup(provider: EncryptionAtRestProvider): void {
  if (provider === 'NONE') return;
  throw new Refusal(
    'INVALID_CLUSTER_CONFIGURATION',
    `Legacy backup (backupEnabled) cannot be used with encryption at rest by a key in ${provider}: set providerBackupEnabled instead.`,
    ['backupEnabled'],
  );
}
