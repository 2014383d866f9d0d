import type { CommandOutcome } from '../command-outcome.js';
import { mapOutcome, type RunCommand } from './run-command.js';

const ADMIN = 'admin';
/** It waits for the round that is in progress: a chunk that moves is moved to its end. */
const STOP_LIMIT_MS = 300_000;
const LIMIT_MS = 30_000;

/** What the balancer of a sharded cluster does, as a mongos of it says. */
export interface BalancerStatus {
  /** It may move chunks. */
  readonly enabled: boolean;
  /** It is about to, or does. */
  readonly inRound: boolean;
}

/** Asks a mongos what the balancer does. */
export async function balancerStatus(run: RunCommand): Promise<CommandOutcome<BalancerStatus>> {
  return mapOutcome(await run(ADMIN, { balancerStatus: 1 }, LIMIT_MS), ({ mode, inBalancerRound }) => ({
    enabled: mode !== 'off',
    inRound: inBalancerRound === true,
  }));
}

/** Stops the balancer. It stays stopped until somebody starts it, whoever that is and whatever becomes of the mongos. */
export async function stopBalancer(run: RunCommand): Promise<CommandOutcome<void>> {
  return mapOutcome(await run(ADMIN, { balancerStop: 1, maxTimeMS: STOP_LIMIT_MS - LIMIT_MS }, STOP_LIMIT_MS), () => undefined);
}

export async function startBalancer(run: RunCommand): Promise<CommandOutcome<void>> {
  return mapOutcome(await run(ADMIN, { balancerStart: 1, maxTimeMS: LIMIT_MS }, LIMIT_MS), () => undefined);
}

/** The shards of a cluster, as its config servers name them, with the replica sets that they are. */
export async function shardsOf(run: RunCommand): Promise<CommandOutcome<{ name: string; replicaSet: string }[]>> {
  return mapOutcome(await run(ADMIN, { listShards: 1 }, LIMIT_MS), ({ shards }) =>
    (shards as { _id: unknown; host: unknown }[]).map(({ _id, host }) => ({
      name: String(_id),
      replicaSet: String(host).split('/')[0] ?? '',
    })),
  );
}
