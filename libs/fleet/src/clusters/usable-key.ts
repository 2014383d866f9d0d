import type { EncryptionAtRestProvider, KeyConfigurationState } from '@atrest/contracts';
import { awaitProjection, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';
import { findKeyConfiguration } from '../projections/key-configurations.js';
import { inTransaction, onDatabase } from '../query.js';
import { Refusal } from '../refusal.js';

const isUsable = (configuration: KeyConfigurationState | undefined): boolean =>
  configuration !== undefined && configuration.enabled && configuration.state === 'VALID';

const settingsInvalid = (provider: string): Refusal =>
  new Refusal(
    'ENCRYPTION_AT_REST_SETTINGS_INVALID',
    `The encryption at rest settings for ${provider} are invalid: the customer key must be usable before this can be changed.`,
    [provider],
  );

/** Waits a moment for a configuration that was saved a moment ago and may still be on its way to us. */
export async function awaitUsableKey(database: ServiceDatabase, projectId: string, provider: EncryptionAtRestProvider): Promise<void> {
  await awaitProjection(async () => {
    const configuration = await findKeyConfiguration(onDatabase(database), projectId, provider);
    return isUsable(configuration) ? configuration : undefined;
  });
}

/**
 * Inside the transaction that makes a cluster use a key. The configuration stays as it is until that is committed, so that whoever makes it invalid
 * afterwards finds the cluster.
 * @throws {Refusal}
 */
export async function checkUsableKey(tx: Transaction, projectId: string, provider: EncryptionAtRestProvider): Promise<void> {
  if (provider === 'NONE') return;
  const configuration = await findKeyConfiguration(inTransaction(tx), projectId, provider, 'FOR SHARE');
  if (configuration === undefined || !configuration.enabled) {
    throw new Refusal(
      'ENCRYPTION_AT_REST_NOT_ENABLED',
      `Encryption at rest with the provider ${provider} is not enabled for group ${projectId}.`,
      [provider, projectId],
    );
  }
  if (!isUsable(configuration)) throw settingsInvalid(provider);
}

/** The key that protects a cluster now may be neither turned off nor exchanged unless it is valid: that would undo what it protects. @throws {Refusal} */
export async function checkPresentKey(tx: Transaction, projectId: string, provider: EncryptionAtRestProvider): Promise<void> {
  if (provider === 'NONE') return;
  const configuration = await findKeyConfiguration(inTransaction(tx), projectId, provider);
  if (configuration?.state !== 'VALID') throw settingsInvalid(provider);
}
