import { newObjectId, type EncryptionAtRestProvider } from '@atrest/contracts';
import { rows, type Transaction } from '@atrest/platform-persistence';
import { shownKeyId } from '../key-usage/key-standing.js';
import type { KnownCluster } from '../projections/cluster-projection.js';
import type { KeyConfigurationProjection } from '../projections/key-configuration-projection.js';

/** What the snapshots of one cluster under one customer key have in common. */
export interface Epoch {
  readonly id: string;
  readonly clusterId: string;
  readonly projectId: string;
  readonly provider: EncryptionAtRestProvider;
  /** Null: encryption at rest is not enabled. */
  readonly encryptionKeyId: string | null;
}

const COLUMNS = 'id, cluster_id AS "clusterId", project_id AS "projectId", provider, encryption_key_id AS "encryptionKeyId"';

/** Epochs in the database. */
export class EpochRepository {
  constructor(private readonly keyConfigurations: KeyConfigurationProjection) {}

  /** The epoch of what is taken now, a new one when the key is another one; null when the project has no key configuration for the cluster's provider. */
  async current(tx: Transaction, cluster: KnownCluster, now: Date): Promise<Epoch | null> {
    const { id: clusterId, projectId, provider } = cluster;
    if (provider === 'NONE') return this.findOrCreate(tx, { clusterId, projectId, provider, encryptionKeyId: null }, null, null, now);
    const configuration = await this.keyConfigurations.enabled(tx, projectId, provider);
    if (configuration === null) return null;
    const epoch = { clusterId, projectId, provider, encryptionKeyId: shownKeyId(configuration) };
    return this.findOrCreate(tx, epoch, configuration.id, configuration.epoch, now);
  }

  async get(tx: Transaction, id: string): Promise<Epoch | null> {
    return (await rows<Epoch>(tx, `SELECT ${COLUMNS} FROM epoch WHERE id = $1`, [id]))[0] ?? null;
  }

  /** Stores an epoch that the snapshot store knows and this catalogue does not. */
  async adopt(tx: Transaction, epoch: Epoch, createdAt: Date): Promise<void> {
    await rows(
      tx,
      `INSERT INTO epoch (id, cluster_id, project_id, provider, encryption_key_id, key_configuration_id, created_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
      // Its configuration is not known; the epoch stands for it, so that it is nobody else's.
      [epoch.id, epoch.clusterId, epoch.projectId, epoch.provider, epoch.encryptionKeyId, epoch.id, createdAt],
    );
  }

  private async findOrCreate(
    tx: Transaction,
    epoch: Omit<Epoch, 'id'>,
    keyConfigurationId: string | null,
    keyEpoch: number | null,
    now: Date,
  ): Promise<Epoch> {
    const { clusterId, projectId, provider, encryptionKeyId } = epoch;
    const identity = [clusterId, provider, encryptionKeyId, keyConfigurationId, keyEpoch];
    const find = async (): Promise<Epoch | undefined> => {
      const found = await rows<Epoch>(
        tx,
        `SELECT ${COLUMNS} FROM epoch WHERE cluster_id = $1 AND provider = $2 AND encryption_key_id IS NOT DISTINCT FROM $3
           AND key_configuration_id IS NOT DISTINCT FROM $4 AND key_epoch IS NOT DISTINCT FROM $5`,
        identity,
      );
      return found[0];
    };
    const known = await find();
    if (known !== undefined) return known;
    await rows(
      tx,
      `INSERT INTO epoch (cluster_id, provider, encryption_key_id, key_configuration_id, key_epoch, id, project_id, created_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`,
      [...identity, newObjectId(now), projectId, now],
    );
    const created = await find();
    if (created === undefined) throw new Error(`The epoch of cluster ${clusterId} was not stored.`);
    return created;
  }
}
