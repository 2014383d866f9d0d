import type { ProcessObservation } from '@atrest/contracts';
import type { RunCommand } from '@atrest/mongod';
import type { Logger } from '@atrest/platform-logging';
import { BackgroundLoop, type Clock } from '@atrest/platform-time';
import { startAgain, type BalancerNotes, type StoppedBalancer } from './balancer.js';
import { seeHold } from './consistent-copy.js';
import { giveBack, taskOf, type Hold, type HoldNotes } from './holds.js';
import type { BackupMember } from './member.js';

export type HeldForBackup = NonNullable<ProcessObservation['heldForBackup']>;

/** A process that can be held. */
export interface HeldProcess {
  readonly processId: string;
  readonly run: RunCommand;
  /** A connection to another server of its cluster. The caller closes it. */
  readonly connectTo: BackupMember['connectTo'];
  /** What is held on it, as far as it is known; null: nothing. */
  tell(held: HeldForBackup | null): void;
}

export interface HoldWatchOptions {
  readonly notes: HoldNotes;
  readonly balancers: BalancerNotes;
  /** The processes that run and answer now. */
  readonly processes: () => readonly HeldProcess[];
  /** The task that takes a snapshot from a process in this life of the agent. */
  readonly takingFrom: (processId: string) => string | null;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly intervalMs: number;
}

/** A server that did not answer may still take what it was asked for; after this it will not. Its own limit for a checkpoint is below. */
const UNCERTAIN_MS = 10 * 60_000;

/**
 * Looks what is held on the processes of this host, whoever took it, and gives back what this agent, or an earlier life of it, left. Both a lock and a
 * cursor outlive whoever took them: the one keeps every write away, the other lets the disk fill.
 */
export class HoldWatch {
  readonly #options: HoldWatchOptions;
  readonly #loop: BackgroundLoop;
  readonly #seen = new Map<string, HeldForBackup>();
  #looking: Promise<unknown> = Promise.resolve();

  constructor(options: HoldWatchOptions) {
    this.#options = options;
    this.#loop = new BackgroundLoop({
      name: 'holds',
      intervalMs: options.intervalMs,
      run: () => this.#lookOnce(),
      onError: (error) => options.logger.error({ err: error }, 'looking for locks and cursors failed; it is tried again'),
    });
  }

  start(): void {
    this.#loop.start();
  }

  wake(): void {
    this.#loop.wake();
  }

  stop(): Promise<void> {
    return this.#loop.stop();
  }

  /** Gives back what earlier snapshots left on a process, before a new one holds it. */
  async settle(processId: string, run: RunCommand): Promise<void> {
    // What it is about to do was decided before the new snapshot began.
    await this.#looking;
    const note = (await this.#options.notes.all()).find((each) => each.processId === processId);
    if (note === undefined) return;
    const outcome = await giveBack(run, note);
    const { logger } = this.#options;
    if (!outcome.ok)
      logger.warn(
        { processId, kind: note.kind, reason: outcome.failure.message },
        'what an earlier snapshot left cannot be given back yet',
      );
    else if (outcome.value === 'held')
      logger.warn({ processId, taskId: note.taskId, kind: note.kind }, 'what an earlier snapshot left was given back');
  }

  #lookOnce(): Promise<void> {
    const look = this.#look();
    this.#looking = look.catch(() => undefined);
    return look;
  }

  async #look(): Promise<void> {
    const notes = new Map((await this.#options.notes.all()).map((note) => [note.processId, note]));
    const balancers = new Map((await this.#options.balancers.all()).map((note) => [note.processId, note]));
    const look = async (process: HeldProcess): Promise<void> => {
      const balancer = balancers.get(process.processId);
      if (balancer !== undefined) await this.#startAgain(process, balancer);
      await this.#lookAt(process, notes.get(process.processId) ?? null);
    };
    await Promise.all(this.#options.processes().map(look));
  }

  /** A balancer that an earlier snapshot stopped. One that is being taken starts it again itself. */
  async #startAgain(process: HeldProcess, note: StoppedBalancer): Promise<void> {
    const { balancers, takingFrom, logger } = this.#options;
    const { processId } = process;
    if (takingFrom(processId) !== null) return;
    const started = await startAgain(process, note);
    if (takingFrom(processId) !== null) return;
    if (!started.ok) {
      logger.warn(
        { processId, reason: started.failure.message },
        'the balancer that an earlier snapshot stopped cannot be started again yet',
      );
      return;
    }
    logger.warn({ processId, taskId: note.taskId }, 'the balancer that an earlier snapshot stopped was started again');
    await balancers.remove(processId);
  }

  async #lookAt(process: HeldProcess, note: Hold | null): Promise<void> {
    const { processId, run } = process;
    const taking = this.#options.takingFrom(processId);
    if (note !== null && taking === null) await this.#giveBack(process, note);
    const seen = await seeHold(run);
    if (seen === null) return;
    const held = seen === 'none' ? null : this.#held(processId, seen, note);
    // A cursor with our mark and no note: the state folder is another one by now.
    if (seen !== 'none' && held?.taskId != null && note === null && taking === null && seen.kind === 'backupCursor') {
      await this.#giveBack(process, { kind: 'backupCursor', taskId: held.taskId, processId, stage: 'held', since: held.since });
    }
    if (held === null) this.#seen.delete(processId);
    else this.#seen.set(processId, held);
    process.tell(held);
  }

  async #giveBack({ processId, run }: HeldProcess, note: Hold): Promise<void> {
    const { notes, logger, clock } = this.#options;
    const outcome = await giveBack(run, note);
    // Begun in the meantime: what is noted now is the new task's.
    if (this.#options.takingFrom(processId) !== null) return;
    if (!outcome.ok) {
      logger.warn(
        { processId, kind: note.kind, reason: outcome.failure.message },
        'what an earlier snapshot left cannot be given back yet',
      );
      return;
    }
    const age = clock.now().getTime() - Date.parse(note.since);
    if (outcome.value === 'held')
      logger.warn({ processId, taskId: note.taskId, kind: note.kind }, 'what an earlier snapshot left was given back');
    else if (note.stage === 'asked' && age < UNCERTAIN_MS) return;
    await notes.remove(processId);
  }

  #held(processId: string, seen: Exclude<Awaited<ReturnType<typeof seeHold>>, 'none' | null>, note: Hold | null): HeldForBackup {
    const before = this.#seen.get(processId);
    const taskId = seen.kind === 'backupCursor' ? taskOf(seen) : note?.kind === 'fsyncLock' ? note.taskId : null;
    if (before?.kind === seen.kind && before.taskId === taskId) return before;
    return { kind: seen.kind, since: (seen.since ?? this.#options.clock.now()).toISOString(), taskId };
  }
}
