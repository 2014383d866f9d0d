import { ProcessAccessSecretSchema, SealingPublicKeySchema, type ProcessAccessSecret, type SealingPublicKey } from '@atrest/contracts';
import type { SealingKeys } from '@atrest/platform-auth';
import { rows, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';
import { CompactEncrypt, importJWK } from 'jose';
import { needsSecret, type AccessSecret } from './settings/access-settings.js';
import type { Cluster } from './cluster-view.js';

/** What the goals of a cluster's processes carry, by the id of their host. */
export type SealedAccess = ReadonlyMap<string, string>;

interface SealedRow {
  id: string;
  sealing_key: SealingPublicKey | null;
  known_for: string | null;
  known: string | null;
}

/**
 * How agents get into clusters. Kept sealed with the service's own keys, and beside it once for each host, sealed for that one: a JWE is another text each time,
 * and a goal must not change unless somebody wants something else.
 */
export class ClusterAccess {
  constructor(private readonly sealingKeys: SealingKeys) {}

  /** The secret of a cluster; null when it has none. */
  async secretOf(tx: Transaction, clusterId: string): Promise<AccessSecret | null> {
    const [row] = await rows<{ sealed: string }>(tx, 'SELECT sealed FROM cluster_access WHERE cluster_id = $1', [clusterId]);
    return row === undefined ? null : this.open(clusterId, row.sealed);
  }

  /** Keeps a secret in the place of the one before. What was sealed for hosts is made anew when it is asked for. */
  async store(tx: Transaction, clusterId: string, secret: AccessSecret): Promise<void> {
    const content: ProcessAccessSecret = { ...secret, clusterId };
    await rows(
      tx,
      'INSERT INTO cluster_access (cluster_id, sealed) VALUES ($1, $2) ON CONFLICT (cluster_id) DO UPDATE SET sealed = EXCLUDED.sealed',
      [clusterId, this.sealingKeys.seal(JSON.stringify(content), contextOf(clusterId))],
    );
    await rows(tx, 'DELETE FROM host_access WHERE cluster_id = $1', [clusterId]);
  }

  async forget(tx: Transaction, clusterId: string): Promise<void> {
    await rows(tx, 'DELETE FROM host_access WHERE cluster_id = $1', [clusterId]);
    await rows(tx, 'DELETE FROM cluster_access WHERE cluster_id = $1', [clusterId]);
  }

  /** The secret of a cluster, sealed for each of these hosts; none where the cluster needs none, nor for a host that has no key. */
  async sealedFor(tx: Transaction, cluster: Pick<Cluster, 'id' | 'settings'>, hostIds: Iterable<string>): Promise<SealedAccess> {
    if (!needsSecret(cluster.settings.access)) return new Map();
    const found = await rows<SealedRow>(
      tx,
      `SELECT host.id, host.sealing_key, host_access.sealing_key AS known_for, host_access.sealed AS known
         FROM host LEFT JOIN host_access ON host_access.host_id = host.id AND host_access.cluster_id = $1
        WHERE host.id = ANY($2)`,
      [cluster.id, [...new Set(hostIds)]],
    );
    const sealed = new Map<string, string>();
    let secret: AccessSecret | null = null;
    for (const row of found) {
      const { id, sealing_key: key } = row;
      if (row.known !== null && (key === null || key.x === row.known_for)) sealed.set(id, row.known);
      if (key === null || key.x === row.known_for) continue;
      secret ??= await this.secretOf(tx, cluster.id);
      if (secret === null) return sealed;
      const made = await sealFor(key, { ...secret, clusterId: cluster.id });
      await rows(
        tx,
        `INSERT INTO host_access (cluster_id, host_id, sealing_key, sealed) VALUES ($1, $2, $3, $4)
         ON CONFLICT (cluster_id, host_id) DO UPDATE SET sealing_key = EXCLUDED.sealing_key, sealed = EXCLUDED.sealed`,
        [cluster.id, id, key.x, made],
      );
      sealed.set(id, made);
    }
    return sealed;
  }

  /** Seals anew what an older sealing key still holds, so that it can be dropped one day. */
  async sealAnew(database: ServiceDatabase): Promise<void> {
    await database.transaction(async (tx) => {
      const known = await rows<{ cluster_id: string; sealed: string }>(tx, 'SELECT * FROM cluster_access ORDER BY cluster_id FOR UPDATE');
      for (const { cluster_id: id, sealed } of known.filter((row) => !this.sealingKeys.isCurrent(row.sealed))) {
        const anew = this.sealingKeys.seal(this.sealingKeys.open(sealed, contextOf(id)), contextOf(id));
        await rows(tx, 'UPDATE cluster_access SET sealed = $2 WHERE cluster_id = $1', [id, anew]);
      }
    });
  }

  private open(clusterId: string, sealed: string): AccessSecret {
    const { clusterId: _, ...secret } = ProcessAccessSecretSchema.parse(
      JSON.parse(this.sealingKeys.openText(sealed, contextOf(clusterId))),
    );
    return secret;
  }
}

const contextOf = (clusterId: string): string => `cluster-access/${clusterId}`;

async function sealFor(key: SealingPublicKey, secret: ProcessAccessSecret): Promise<string> {
  return new CompactEncrypt(new TextEncoder().encode(JSON.stringify(secret)))
    .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM' })
    .encrypt(await importJWK(SealingPublicKeySchema.parse(key), 'ECDH-ES'));
}
