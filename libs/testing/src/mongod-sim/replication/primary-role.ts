import { CommandError } from '../commands/command-error.js';
import type { Doc } from '../bson-values.js';
import { compareOpTimes } from './op-time.js';
import { type ReplicaSetConfig, withTerm } from './replica-set-config.js';
import type { StepDownWish } from './replication.js';
import { isSafeToStepDown } from './rules.js';
import type { SetState, WonElection } from './set-state.js';

const CONTEXT = 'OplogApplier-0';

export interface PrimaryRoleHooks {
  persistConfig(config: ReplicaSetConfig): Promise<void>;
  /** Tells the other members at once. */
  announce(): void;
  steppedDown(): void;
}

/** Being primary: how it begins, what it needs to go on, how it ends. */
export class PrimaryRole {
  readonly #set: SetState;
  readonly #hooks: PrimaryRoleHooks;
  #liveness: NodeJS.Timeout | undefined;
  #noop: NodeJS.Timeout | undefined;
  #waiting: (() => void) | undefined;
  #steppingDown = false;

  constructor(set: SetState, hooks: PrimaryRoleHooks) {
    this.#set = set;
    this.#hooks = hooks;
  }

  start(): void {
    const { heartbeatMs, periodicNoopMs } = this.#set.server.timings;
    this.#liveness = setInterval(() => this.#checkMajority(), heartbeatMs / 4);
    let seen = this.#set.lastApplied;
    this.#noop = setInterval(() => {
      const now = this.#set.lastApplied;
      if (this.#set.writable && !this.#set.server.fsyncLock.locked && compareOpTimes(now, seen) === 0)
        this.#writeNoop({ msg: 'periodic noop' });
      seen = this.#set.lastApplied;
    }, periodicNoopMs);
  }

  stop(): void {
    clearInterval(this.#liveness);
    clearInterval(this.#noop);
  }

  /** The election is won: writes the first entry of the term, then takes writes. */
  async assume(election: WonElection): Promise<void> {
    const set = this.#set;
    const { log, writer, engine, topology } = set.server;
    const now = Date.now();
    for (const member of set.members) member.lastHeardAt = now;
    set.won = election;
    set.electionTime = writer.clock.next();
    set.setPrimary(set.self);
    set.setState('PRIMARY', 'ReplCoord-3');
    // At once, before anything is written: a member that did not vote for us must not seek election itself.
    this.#hooks.announce();
    log.info('ReplCoord-3', 'REPL', 21106, 'Resetting sync source to empty', {
      previousSyncSource: set.syncSource === '' ? ':27017' : set.syncSource,
    });
    set.syncSource = '';
    log.info('ReplCoord-3', 'REPL', 21359, 'Entering primary catch-up mode');
    log.info('ReplCoord-4', 'REPL', 21363, 'Exited primary catch-up mode');
    log.info('ReplCoord-4', 'REPL', 21107, 'Stopping replication producer');
    log.info('ReplBatcher', 'REPL', 21239, 'Oplog buffer has been drained', { term: election.term });
    this.#stateTransition('stepUp');
    await set.server.fsyncLock.released();
    if (set.state !== 'PRIMARY' || set.term !== election.term) return;
    log.info(CONTEXT, 'REPL', 4508103, 'Increment the config term via reconfig');
    writer.term = election.term;
    writer.write([{ op: 'noop', message: { msg: 'new primary' } }]);
    if (set.config !== undefined) {
      const config = withTerm(set.config, election.term);
      await this.#hooks.persistConfig(config);
      set.config = config;
      log.info(CONTEXT, 'REPL', 21392, 'New replica set config in use', { config: config.document });
    }
    await engine.sync();
    if (set.state !== 'PRIMARY' || set.term !== election.term) return;
    set.durable = set.lastApplied;
    set.writable = true;
    set.advanceCommitted();
    election.newTermStart = new Date();
    log.info(CONTEXT, 'REPL', 21331, 'Transition to primary complete; database writes are now permitted');
    topology.bump();
    this.#hooks.announce();
  }

  /** A member has come further or is gone: a step-down that waits looks again. */
  progressed(): void {
    this.#waiting?.();
  }

  /** Steps down in an orderly way. Rejects with ExceededTimeLimit (262) when nobody can take over and it is not forced. */
  async stepDown({ waitMs, force, frozenMs, context }: StepDownWish): Promise<void> {
    const set = this.#set;
    if (set.state !== 'PRIMARY') throw new CommandError(10107, "not primary so can't step down");
    if (this.#steppingDown) throw new CommandError(109, 'there is already a step down in progress');
    this.#steppingDown = true;
    const wasWritable = set.writable;
    set.writable = false;
    set.server.topology.bump();
    try {
      const safe = await this.#waitUntilSafe(waitMs);
      if (set.state !== 'PRIMARY') return;
      if (!safe && !force) {
        throw new CommandError(
          262,
          `No electable secondaries caught up as of ${new Date().toISOString()}. Please use the replSetStepDown command with the argument {force: true} to force node to step down.`,
        );
      }
      set.frozenUntil = Date.now() + frozenMs;
      this.becomeSecondary(context);
      if (safe) this.#handOff(context);
    } catch (error) {
      set.writable = wasWritable;
      set.server.topology.bump();
      throw error;
    } finally {
      this.#steppingDown = false;
    }
  }

  /** Gives the role up at once. */
  becomeSecondary(context: string): void {
    const set = this.#set;
    if (set.state !== 'PRIMARY') return;
    this.#stateTransition('stepDown');
    set.writable = false;
    set.server.writer.term = undefined;
    set.electionTime = undefined;
    set.setPrimary(undefined);
    set.setState('SECONDARY', context);
    this.#waiting?.();
    this.#hooks.steppedDown();
  }

  #stateTransition(lastStateTransition: string): void {
    const { log } = this.#set.server;
    log.info('RstlKillOpThread', 'REPL', 21343, 'Starting to kill user operations');
    log.info('RstlKillOpThread', 'REPL', 21344, 'Stopped killing user operations');
    const metrics: Doc = { lastStateTransition, userOpsKilled: 0, userOpsRunning: 0 };
    log.info('RstlKillOpThread', 'REPL', 21340, 'State transition ops metrics', { metrics });
  }

  /** Resolves to true when it is safe, to false when the time is over or the role is lost otherwise. */
  async #waitUntilSafe(waitMs: number): Promise<boolean> {
    const until = Date.now() + waitMs;
    const set = this.#set;
    for (;;) {
      if (set.state !== 'PRIMARY') return false;
      if (isSafeToStepDown(set.progress(), set.self)) return true;
      const left = until - Date.now();
      if (left <= 0) return false;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#waiting = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#waiting = undefined;
    }
  }

  /** Asks the best secondary to take over without waiting for the election timeout. */
  #handOff(context: string): void {
    const set = this.#set;
    const [target] = set
      .others()
      .filter(
        ({ member }) =>
          member.up && member.state === 'SECONDARY' && member.config.priority > 0 && compareOpTimes(member.applied, set.lastApplied) >= 0,
      )
      .sort((a, b) => b.member.config.priority - a.member.config.priority);
    if (target === undefined) return;
    set.server.log.info(context, 'REPL', 21347, 'Handing off election', { target: target.member.config.host });
    target.member.control.raw('admin', { replSetStepUp: 1, skipDryRun: true }, 5000).catch(() => undefined); // Without it the timeout decides.
  }

  #checkMajority(): void {
    const set = this.#set;
    if (set.state !== 'PRIMARY') return;
    const since = Date.now() - set.electionTimeoutMs;
    const votes = set.members.reduce(
      (sum, member, index) => sum + (index === set.self || member.lastHeardAt > since ? member.config.votes : 0),
      0,
    );
    if (votes >= set.majority) return;
    set.server.log.info('ReplCoord-2', 'REPL', 21809, "Can't see a majority of the set, relinquishing primary");
    this.becomeSecondary('ReplCoord-2');
  }

  #writeNoop(message: Doc): void {
    this.#set.server.writer.write([{ op: 'noop', message }]);
  }
}
