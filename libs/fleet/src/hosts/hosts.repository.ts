import type { ProcessGoal, SealingPublicKey } from '@atrest/contracts';
import { notify, rows, type Transaction } from '@atrest/platform-persistence';
import type { PlacementHost } from '../clusters/placement.js';
import type { Query } from '../query.js';
import { isSilent } from './host-liveness.js';

/** Carries the id of a host that has something new for its agent. */
export const HOST_CHANNEL = 'host';

/** A machine (or pod) with an agent. Hosts belong to the organisation; its projects share them. */
export interface Host {
  readonly id: string;
  readonly orgId: string;
  readonly hostname: string;
  readonly dataFolder: string;
  readonly portFirst: number;
  readonly portLast: number;
  readonly capacity: number;
  readonly allowsColocation: boolean;
  readonly agentVersion: string;
  readonly enrolledAt: Date;
  readonly lastHeardAt: Date | null;
  /** Since then nobody waits for it: its processes are lost, and its agent, should it come back, is told to stop them. */
  readonly givenUpAt: Date | null;
  readonly goalVersion: number;
  readonly reportedVersion: number | null;
  /** What secrets for it are sealed for; null until its agent reports a key. */
  readonly sealingKey: SealingPublicKey | null;
  /** For people; null: its agent has none. */
  readonly snapshotStore: string | null;
  /** How many processes are placed here. */
  readonly processes: number;
}

interface HostRow {
  id: string;
  org_id: string;
  hostname: string;
  data_folder: string;
  port_first: number;
  port_last: number;
  capacity: number;
  allows_colocation: boolean;
  agent_version: string;
  enrolled_at: Date;
  last_heard_at: Date | null;
  given_up_at: Date | null;
  goal_version: number;
  reported_version: number | null;
  sealing_key: SealingPublicKey | null;
  snapshot_store: string | null;
  ports: number[];
  paths: string[];
}

const hostOf = (row: HostRow): Host => ({
  id: row.id,
  orgId: row.org_id,
  hostname: row.hostname,
  dataFolder: row.data_folder,
  portFirst: row.port_first,
  portLast: row.port_last,
  capacity: row.capacity,
  allowsColocation: row.allows_colocation,
  agentVersion: row.agent_version,
  enrolledAt: row.enrolled_at,
  lastHeardAt: row.last_heard_at,
  givenUpAt: row.given_up_at,
  goalVersion: row.goal_version,
  reportedVersion: row.reported_version,
  sealingKey: row.sealing_key,
  snapshotStore: row.snapshot_store,
  processes: row.ports.length,
});

const SELECT_HOST = `
  SELECT host.*, ARRAY(SELECT port FROM process WHERE process.host_id = host.id AND process.removed_at IS NULL) AS ports,
         ARRAY(SELECT db_path FROM process WHERE process.host_id = host.id AND process.removed_at IS NULL AND db_path IS NOT NULL) AS paths
    FROM host WHERE host.deleted_at IS NULL`;

export async function listHosts(query: Query, orgId: string): Promise<Host[]> {
  return (await query<HostRow>(`${SELECT_HOST} AND host.org_id = $1 ORDER BY host.hostname, host.id`, [orgId])).map(hostOf);
}

/** Locks the hosts of an organisation, so that two placements at the same time see each other's ports. */
export async function lockHostsForPlacement(
  tx: Transaction,
  orgId: string,
  now: Date,
): Promise<(PlacementHost & { readonly goalVersion: number })[]> {
  await rows(tx, 'SELECT FROM host WHERE org_id = $1 AND deleted_at IS NULL ORDER BY id FOR NO KEY UPDATE', [orgId]);
  const found = await rows<HostRow>(tx, `${SELECT_HOST} AND host.org_id = $1 AND host.given_up_at IS NULL ORDER BY host.id`, [orgId]);
  return found.map((row) => {
    const { id, hostname, dataFolder, portFirst, portLast, capacity, allowsColocation, processes, goalVersion } = hostOf(row);
    const silent = isSilent(row.last_heard_at, now);
    return {
      id,
      hostname,
      dataFolder,
      portFirst,
      portLast,
      capacity,
      allowsColocation,
      processes,
      goalVersion,
      silent,
      sealable: row.sealing_key !== null,
      usedPorts: row.ports,
      usedPaths: row.paths,
    };
  });
}

/** Moves the goal versions of hosts and wakes their agents' polls. Answers the new versions. */
export async function moveGoals(tx: Transaction, hostIds: Iterable<string>, now: Date): Promise<Map<string, number>> {
  const ids = [...new Set(hostIds)];
  if (ids.length === 0) return new Map();
  // In the order of ids, as everybody who locks hosts: two clusters that share hosts must not wait for each other in a circle.
  await rows(tx, 'SELECT FROM host WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE', [ids]);
  const moved = await rows<{ id: string; goal_version: number }>(
    tx,
    'UPDATE host SET goal_version = goal_version + 1, goal_issued_at = $2 WHERE id = ANY($1) RETURNING id, goal_version',
    [ids, now],
  );
  for (const { id } of moved) await notify(tx, HOST_CHANNEL, id);
  return new Map(moved.map((row) => [row.id, row.goal_version]));
}

/** What a host's agent is to converge to. */
export interface StoredGoal {
  readonly version: number;
  readonly issuedAt: Date;
  readonly processes: readonly ProcessGoal[];
}

/**
 * Version and content in one statement, so that they belong together. A host that was given up is told to stop everything it ever had and still may run, also
 * what its clusters have forgotten since; to delete nothing, because nobody can say any more whose data it is.
 */
export async function goalOf(query: Query, hostId: string): Promise<StoredGoal | undefined> {
  const [row] = await query<{ goal_version: number; goal_issued_at: Date; given_up_at: Date | null; goals: ProcessGoal[] }>(
    `SELECT goal_version, goal_issued_at, given_up_at,
            coalesce((SELECT jsonb_agg(goal ORDER BY id) FROM process
                       WHERE host_id = host.id AND (removed_at IS NULL OR removed_at >= host.given_up_at)), '[]') AS goals
       FROM host WHERE id = $1 AND deleted_at IS NULL`,
    [hostId],
  );
  if (row === undefined) return undefined;
  const processes = row.given_up_at === null ? row.goals : row.goals.map(stoppedForGood);
  return { version: row.goal_version, issuedAt: row.goal_issued_at, processes };
}

const stoppedForGood = (goal: ProcessGoal): ProcessGoal => ({
  ...goal,
  desired: 'stopped',
  deleteData: false,
  reason: 'This host was given up for lost: its clusters go on without it.',
});
