import { keyConfigurationAttentionNeeded, newObjectId, type ClusterSummary } from '@atrest/contracts';
import type { EventPublisher } from '@atrest/platform-messaging';
import { rows, type Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import type { KeyConfigurationRepository } from '../key-configuration.repository.js';
import { bindingOf } from '../providers/bindings.js';

export interface MissingKeysOptions {
  readonly repository: KeyConfigurationRepository;
  readonly publisher: EventPublisher;
  readonly clock: Clock;
}

/**
 * Notices a cluster that uses a provider while its project has no key configuration for it: encryption was turned off at the very moment the cluster was
 * accepted. Nothing checks its key, so somebody must hear of it, once.
 */
export class MissingKeys {
  constructor(private readonly options: MissingKeysOptions) {}

  async look(tx: Transaction, { id, name, projectId, encryptionAtRestProvider: provider, deletedAt }: ClusterSummary): Promise<void> {
    const { repository, publisher, clock } = this.options;
    // The lock orders this against a removal: whichever comes second sees the other.
    if (provider === 'NONE' || deletedAt !== null || (await repository.holdConfigured(tx, projectId, provider))) {
      await rows(tx, 'DELETE FROM missing_key WHERE cluster_id = $1 RETURNING cluster_id', [id]);
      return;
    }
    const told = await rows(
      tx,
      `INSERT INTO missing_key (cluster_id, provider, told_at) VALUES ($1, $2, $3)
       ON CONFLICT (cluster_id) DO UPDATE SET provider = EXCLUDED.provider, told_at = EXCLUDED.told_at WHERE missing_key.provider <> EXCLUDED.provider
       RETURNING cluster_id`,
      [id, provider, clock.now()],
    );
    if (told.length === 0) return;
    const { attribute, kms } = bindingOf(provider);
    const at = clock.now().toISOString();
    const detail =
      `Cluster ${name} uses a customer key in ${kms.replace(/^The /, 'the ')}, but the project has no key configuration for it: nothing checks the key, ` +
      `and nothing is stopped when it is gone. Enable ${attribute} again, or change encryptionAtRestProvider of the cluster.`;
    // There is no configuration whose state could be told, so the event is about one that is turned off.
    await publisher.publish(tx, keyConfigurationAttentionNeeded, {
      id: newObjectId(clock.now()),
      projectId,
      provider,
      enabled: false,
      state: 'VALID',
      mode: 'enforce',
      keyId: '',
      resolvedKeyId: null,
      region: null,
      evidence: [],
      invalidSince: null,
      unreachableSince: null,
      lastProvenAt: null,
      attention: { kind: 'KEY_CONFIGURATION_MISSING', detail, at },
      revision: 1,
    });
  }
}
