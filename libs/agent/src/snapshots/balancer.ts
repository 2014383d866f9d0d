import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ObjectIdSchema } from '@atrest/contracts';
import {
  balancerStatus,
  shardsOf,
  startBalancer,
  stopBalancer,
  type CommandFailure,
  type CommandOutcome,
  type RunCommand,
} from '@atrest/mongod';
import type { Logger } from '@atrest/platform-logging';
import type { Clock } from '@atrest/platform-time';
import { z } from 'zod';
import { readIfExists, writeDurably } from '../durable-file.js';
import { BackupError } from './backup-error.js';
import type { BackupMember } from './member.js';

const StoppedBalancerSchema = z.object({
  /** The member of the config servers whose login is used. */
  processId: ObjectIdSchema,
  taskId: ObjectIdSchema,
  routers: z.array(z.string()),
  since: z.iso.datetime(),
});
/** A balancer that this agent stops, and starts again. It stays stopped whatever becomes of the agent. */
export type StoppedBalancer = z.infer<typeof StoppedBalancerSchema>;

/** Which balancers the agent has stopped, on disk before they are: the next life of the agent starts them again. One for each member of config servers. */
export class BalancerNotes {
  readonly #folder: string;

  constructor(stateFolder: string) {
    this.#folder = join(stateFolder, 'balancers');
  }

  async write(note: StoppedBalancer): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    await writeDurably(this.#pathOf(note.processId), JSON.stringify(note));
  }

  async of(processId: string): Promise<StoppedBalancer | null> {
    const text = await readIfExists(this.#pathOf(processId));
    try {
      return text === null ? null : StoppedBalancerSchema.parse(JSON.parse(text));
    } catch {
      return null;
    }
  }

  async all(): Promise<StoppedBalancer[]> {
    const names = await readdir(this.#folder).catch(() => []);
    const ids = names.filter((name) => name.endsWith('.json')).map((name) => name.slice(0, -'.json'.length));
    return (await Promise.all(ids.map((id) => this.of(id)))).filter((note) => note !== null);
  }

  async remove(processId: string): Promise<void> {
    await rm(this.#pathOf(processId), { force: true });
  }

  #pathOf(processId: string): string {
    return join(this.#folder, `${processId}.json`);
  }
}

export interface BalancerContext {
  readonly taskId: string;
  readonly member: Pick<BackupMember, 'goal' | 'connectTo'>;
  readonly routers: readonly string[];
  readonly notes: BalancerNotes;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** A cluster whose chunks stay where they are. */
export interface StillCluster {
  /** As the config servers name them. */
  readonly shards: readonly { readonly name: string; readonly replicaSet: string }[];
  /** @throws BackupError BALANCER_NOT_STOPPED when somebody has started the balancer meanwhile */
  assertStill(): Promise<void>;
  /** Lets chunks move again, if they did before. Once it has, it does nothing; it never throws. */
  end(): Promise<void>;
}

/** A round that is in progress when the balancer is told to stop ends with the chunk that moves. */
const ROUND_LIMIT_MS = 300_000;
const ASK_AGAIN_MS = 500;

const unstopped = ({ kind, message }: CommandFailure): BackupError =>
  new BackupError(
    kind === 'unauthorized' || kind === 'authentication-failed' ? 'SOURCE_ACCESS_DENIED' : 'BALANCER_NOT_STOPPED',
    `The balancer of the cluster could not be stopped: ${message}`,
  );

/**
 * Stops the balancer of a sharded cluster and waits until no chunk moves. One that is stopped already stays so afterwards, unless an earlier life of this agent
 * stopped it.
 *
 * @throws BackupError BALANCER_NOT_STOPPED or SOURCE_ACCESS_DENIED; nothing is changed then
 */
export async function stopChunks(context: BalancerContext): Promise<StillCluster> {
  const { taskId, member, routers, notes, clock, logger, signal } = context;
  const processId = member.goal.id;
  const left = await notes.of(processId);
  const still = await throughOne(member, routers, async (run) => {
    const before = await balancerStatus(run);
    if (!before.ok) return before;
    const isOurs = before.value.enabled || left !== null;
    if (isOurs) await notes.write({ processId, taskId, routers: [...routers], since: clock.now().toISOString() });
    if (before.value.enabled) {
      const stopped = await stopBalancer(run);
      if (!stopped.ok) return stopped;
      logger.info('the balancer of the cluster is stopped');
    }
    const rested = await atRest(run, signal);
    if (!rested.ok) return rested;
    const shards = await shardsOf(run);
    return shards.ok ? { ok: true as const, value: { shards: shards.value, isOurs } } : shards;
  });
  let begun: Promise<void> | null = null;
  const end = (): Promise<void> => (begun ??= giveBack(context));
  if (!still.ok) {
    await end();
    signal.throwIfAborted();
    throw unstopped(still.failure);
  }
  const assertStill = async (): Promise<void> => {
    const now = await throughOne(member, routers, balancerStatus);
    if (!now.ok) throw unstopped(now.failure);
    if (now.value.enabled || now.value.inRound) {
      throw new BackupError('BALANCER_NOT_STOPPED', 'Somebody started the balancer of the cluster while its parts were held to be cut.');
    }
  };
  return { shards: still.value.shards, assertStill, end };
}

/** Waits until no chunk moves. */
async function atRest(run: RunCommand, signal: AbortSignal): Promise<CommandOutcome<void>> {
  for (const until = performance.now() + ROUND_LIMIT_MS; ;) {
    const status = await balancerStatus(run);
    if (!status.ok) return status;
    if (!status.value.inRound) return { ok: true, value: undefined };
    if (signal.aborted || performance.now() >= until) {
      return { ok: false, failure: { kind: 'other', code: null, message: 'a round of it is in progress and does not end' } };
    }
    await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
  }
}

/** What could not be started again stays noted, and the watch does it. */
async function giveBack({ member, notes, logger }: BalancerContext): Promise<void> {
  try {
    const note = await notes.of(member.goal.id);
    if (note === null) return;
    const started = await startAgain(member, note);
    if (started.ok) {
      await notes.remove(member.goal.id);
      logger.info('the balancer of the cluster runs again');
    } else logger.warn({ reason: started.failure.message }, 'the balancer of a cluster could not be started again yet; it is tried again');
  } catch (error) {
    logger.error({ err: error }, 'the balancer of a cluster could not be started again yet; it is tried again');
  }
}

/** Starts a balancer again that was stopped. */
export const startAgain = (
  member: Pick<BackupMember, 'connectTo'>,
  { routers }: Pick<StoppedBalancer, 'routers'>,
): Promise<CommandOutcome<void>> => throughOne(member, routers, startBalancer);

/** Does something through the first mongos that answers. */
async function throughOne<T>(
  member: Pick<BackupMember, 'connectTo'>,
  routers: readonly string[],
  act: (run: RunCommand) => Promise<CommandOutcome<T>>,
): Promise<CommandOutcome<T>> {
  let last: CommandOutcome<T> = { ok: false, failure: { kind: 'unreachable', code: null, message: 'no mongos of the cluster runs' } };
  for (const router of routers) {
    const connection = member.connectTo(router);
    try {
      last = await act((db, command, limitMs) => connection.run(db, command, limitMs));
    } finally {
      await connection.close();
    }
    if (last.ok || last.failure.kind !== 'unreachable') return last;
  }
  return last;
}
