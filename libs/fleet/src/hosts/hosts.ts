import { notify, rows, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import { makeDue } from '../clusters/clusters.repository.js';
import { RECONCILE_CHANNEL } from '../projections/key-configuration-handlers.js';
import { onDatabase } from '../query.js';
import { Refusal } from '../refusal.js';
import { HOST_SILENT_AFTER_MS, isSilent } from './host-liveness.js';
import { listHosts, moveGoals, type Host } from './hosts.repository.js';

/** The hosts of organisations, for their owners. */
export class Hosts {
  constructor(private readonly parts: { readonly database: ServiceDatabase; readonly clock: Clock }) {}

  list(orgId: string): Promise<Host[]> {
    return listHosts(onDatabase(this.parts.database), orgId);
  }

  /**
   * Takes out a host without processes; its agent's credential is refused from then on.
   * @throws {Refusal} RESOURCE_NOT_FOUND, INVALID_CLUSTER_CONFIGURATION
   */
  async remove(orgId: string, hostId: string): Promise<void> {
    await this.parts.database.transaction(async (tx) => {
      // The lock comes first and in a statement of its own: a placement that held it a moment ago is only seen by a statement that begins after it.
      await rows(tx, 'SELECT FROM host WHERE id = $1 AND org_id = $2 FOR UPDATE', [hostId, orgId]);
      const removed = await rows(
        tx,
        `UPDATE host SET deleted_at = $3
          WHERE id = $1 AND org_id = $2 AND deleted_at IS NULL AND given_up_at IS NULL
            AND NOT EXISTS (SELECT FROM process WHERE host_id = host.id AND removed_at IS NULL) RETURNING id`,
        [hostId, orgId, this.parts.clock.now()],
      );
      if (removed.length > 0) return;
      const known = await this.known(tx, orgId, hostId);
      if (known.given_up_at !== null) {
        throw new Refusal(
          'INVALID_CLUSTER_CONFIGURATION',
          'The host was given up and stays listed: its agent has to be told to stop, should it come back.',
          [hostId],
        );
      }
      throw new Refusal(
        'INVALID_CLUSTER_CONFIGURATION',
        'The host still has processes: delete their clusters or take the processes out of them first. A host that is lost for good is given up with force=true.',
        [hostId],
      );
    });
  }

  /**
   * Gives up a host that will not come back: its processes count as stopped, so that clusters that wait for them go on. Its credential stays good for being
   * told to stop, because refusing it would let a machine that comes back after all go on serving. Giving it up twice is giving it up once.
   * @throws {Refusal} RESOURCE_NOT_FOUND; INVALID_ATTRIBUTE for a host that is heard of
   */
  async giveUp(orgId: string, hostId: string): Promise<void> {
    await this.parts.database.transaction(async (tx) => {
      const now = this.parts.clock.now();
      const given = await rows(
        tx,
        `UPDATE host SET given_up_at = $3
          WHERE id = $1 AND org_id = $2 AND deleted_at IS NULL AND given_up_at IS NULL AND (last_heard_at IS NULL OR last_heard_at < $4) RETURNING id`,
        [hostId, orgId, now, new Date(now.getTime() - HOST_SILENT_AFTER_MS)],
      );
      if (given.length === 0) {
        const known = await this.known(tx, orgId, hostId);
        if (known.given_up_at === null && !isSilent(known.last_heard_at, now)) throw stillHeard(hostId);
      }
      await moveGoals(tx, [hostId], now);
      const affected = await rows<{ id: string }>(
        tx,
        'SELECT DISTINCT cluster_id AS id FROM process WHERE host_id = $1 AND removed_at IS NULL',
        [hostId],
      );
      // The reconciler goes on with them one by one: one that cannot be judged keeps neither the others nor this request.
      await makeDue(
        tx,
        affected.map((cluster) => cluster.id),
        now,
      );
      await notify(tx, RECONCILE_CHANNEL, '');
    });
  }

  /** @throws {Refusal} RESOURCE_NOT_FOUND */
  private async known(tx: Transaction, orgId: string, hostId: string): Promise<{ given_up_at: Date | null; last_heard_at: Date | null }> {
    const [known] = await rows<{ given_up_at: Date | null; last_heard_at: Date | null }>(
      tx,
      'SELECT given_up_at, last_heard_at FROM host WHERE id = $1 AND org_id = $2 AND deleted_at IS NULL',
      [hostId, orgId],
    );
    if (known === undefined) throw new Refusal('RESOURCE_NOT_FOUND', `No host with ID ${hostId} exists.`, [hostId]);
    return known;
  }
}

const stillHeard = (hostId: string): Refusal =>
  new Refusal(
    'INVALID_ATTRIBUTE',
    `The host's agent was heard of within the last ${HOST_SILENT_AFTER_MS / 1000} seconds, so the host is not lost. Take its processes out of their clusters instead.`,
    [hostId],
  );
