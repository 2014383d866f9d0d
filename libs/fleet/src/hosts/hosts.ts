import { rows, type ServiceDatabase } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import { onDatabase } from '../query.js';
import { Refusal } from '../refusal.js';
import { listHosts, type Host } from './hosts.repository.js';

/** The hosts of organisations, for their owners. */
export class Hosts {
  constructor(private readonly parts: { readonly database: ServiceDatabase; readonly clock: Clock }) {}

  list(orgId: string): Promise<Host[]> {
    return listHosts(onDatabase(this.parts.database), orgId);
  }

  /** Takes out a host without processes; its agent's credential is refused from then on. @throws {Refusal} RESOURCE_NOT_FOUND, INVALID_CLUSTER_CONFIGURATION */
  async remove(orgId: string, hostId: string): Promise<void> {
    await this.parts.database.transaction(async (tx) => {
      // The lock comes first and in a statement of its own: a placement that held it a moment ago is only seen by a statement that begins after it.
      await rows(tx, 'SELECT FROM host WHERE id = $1 AND org_id = $2 FOR UPDATE', [hostId, orgId]);
      const removed = await rows(
        tx,
        `UPDATE host SET deleted_at = $3
          WHERE id = $1 AND org_id = $2 AND deleted_at IS NULL
            AND NOT EXISTS (SELECT FROM process WHERE host_id = host.id AND removed_at IS NULL) RETURNING id`,
        [hostId, orgId, this.parts.clock.now()],
      );
      if (removed.length > 0) return;
      const known = await rows(tx, 'SELECT FROM host WHERE id = $1 AND org_id = $2 AND deleted_at IS NULL', [hostId, orgId]);
      if (known.length === 0) throw new Refusal('RESOURCE_NOT_FOUND', `No host with ID ${hostId} exists.`, [hostId]);
      throw new Refusal('INVALID_CLUSTER_CONFIGURATION', 'The host still has processes: delete their clusters first.', [hostId]);
    });
  }
}
