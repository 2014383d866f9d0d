import { isAbsolute, resolve } from 'node:path';
import type { ProcessGoal, ProcessObservation } from '@atrest/contracts';
import {
  ArgumentsError,
  commandLine,
  optionValue,
  redactArguments,
  RunLog,
  StartError,
  tailLog,
  type ProcessIdentity,
  type ProcessRunner,
  type SupervisedProcess,
  type TableEntry,
} from '@atrest/mongod';
import type { Logger } from '@atrest/platform-logging';
import { backoffMs, BackgroundLoop, type Clock } from '@atrest/platform-time';
import { addShards, initiate, stepUp, type AdministrationOutcome } from './administration.js';
import { converge, type Action, type Authority, type ConvergeSettings, type Reality } from './converge.js';
import { dataExists, DataPathError, prepareDataPath, removeDataPath } from './data-path.js';
import { statusOf, type ProcessStatus } from './process-status.js';
import type { StateFolder } from './state-folder.js';
import { SupervisedRun } from './supervised-run.js';

export interface SupervisorSettings extends ConvergeSettings {
  /** A stop that takes longer is reported as overdue. */
  readonly warnAfterMs: number;
  /** Wait before the first new start after a failure; doubled up to {@link restartMaxMs}. */
  readonly restartBaseMs: number;
  readonly restartMaxMs: number;
  /** A process that was ready for this long did not fail to start: its next failure counts as the first. */
  readonly stableAfterMs: number;
}

/** What all supervisors of a host share. */
export interface SupervisorContext {
  readonly runner: ProcessRunner;
  readonly state: StateFolder;
  readonly programs: { readonly mongod: string; readonly mongos: string | null };
  readonly childEnvironment: Readonly<Record<string, string>>;
  readonly dataFolder: string;
  readonly settings: SupervisorSettings;
  readonly clock: Clock;
  /** Milliseconds of a clock that never jumps: patience is not shortened by a corrected wall clock. */
  readonly ticks: () => number;
  readonly logger: Logger;
  readonly onChange: () => void;
}

/** The goal of one process with what is known about the goal itself. */
export interface SupervisedGoal {
  readonly goal: ProcessGoal;
  readonly authority: Authority;
  /** Another process of the host has the same data path or port: nothing is done with this one. */
  readonly conflict: string | null;
}

/** The last exit or failed start. */
interface LastEnd {
  readonly code: number | null;
  readonly signal: string | null;
  readonly error: string | null;
  readonly failed: boolean;
  readonly lines: readonly string[];
}

/** While a process starts or stops its log is read this often; of a start of 0.7 s and a stop of 0.4 s this is little. */
const EAGER_MS = 100;
/** The longest time without a look: a process that was started by hand is found within it. */
const LOOK_MS = 1_000;
const REPORTED_LINES = 20;

/** Brings one process to its goal and keeps it there. Decisions are {@link converge}'s; here are their effects. */
export class ProcessSupervisor {
  readonly #context: SupervisorContext;
  readonly #loop: BackgroundLoop;
  readonly #logger: Logger;
  #supervised: SupervisedGoal;
  #run: SupervisedRun | null = null;
  #looked = false;
  #everAbsent = false;
  #beginning = false;
  #forgotten = false;
  #failures = 0;
  #retryAt: number | null = null;
  #dataExists = false;
  #lastEnd: LastEnd | null = null;
  #blocked: string | null = null;
  #version: string | null = null;
  #startedByHandAt: Date | null = null;
  #status: { value: ProcessStatus; since: Date };
  #observation: ProcessObservation | null = null;
  #timer: NodeJS.Timeout | undefined;
  #adoptedLogPath: string | null = null;

  constructor(context: SupervisorContext, supervised: SupervisedGoal) {
    this.#context = context;
    this.#supervised = supervised;
    const { id, clusterName, kind, port } = supervised.goal;
    this.#logger = context.logger.child({ processId: id, clusterName, kind, port });
    this.#status = { value: 'stopped', since: context.clock.now() };
    this.#loop = new BackgroundLoop({
      name: `process ${id}`,
      intervalMs: LOOK_MS,
      run: () => this.#round(),
      onError: (error) => this.#logger.error({ err: error }, 'looking after a process failed; it is tried again'),
    });
  }

  get goal(): ProcessGoal {
    return this.#supervised.goal;
  }

  start(): void {
    this.#loop.start();
  }

  /** Ends the supervision. The process is left as it is. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#loop.stop();
    clearTimeout(this.#timer);
    await this.#run?.close();
  }

  setGoal(supervised: SupervisedGoal): void {
    const before = this.#supervised;
    this.#supervised = supervised;
    if (JSON.stringify(before.goal) !== JSON.stringify(supervised.goal)) {
      // Somebody changed something: what failed before may work now.
      this.#failures = 0;
      this.#retryAt = null;
      this.#forgotten = false;
      const { desired, reason } = supervised.goal;
      if (desired !== before.goal.desired) this.#logger.info({ desired, reason }, 'goal changed');
    }
    if (supervised.goal.desired === 'running') this.#startedByHandAt = null;
    this.#loop.wake();
  }

  /** It was to be removed, and nothing of it is left. */
  get isForgotten(): boolean {
    return this.#forgotten;
  }

  /** What is reported of the process; null before the first look and after it was removed. */
  get observation(): ProcessObservation | null {
    return this.#observation;
  }

  async lastLogLines(count: number): Promise<string[]> {
    return tailLog(this.#adoptedLogPath ?? this.#context.state.logPath(this.goal.id), count);
  }

  async #round(): Promise<void | 'again'> {
    clearTimeout(this.#timer);
    await this.#look();
    const decision =
      this.#supervised.conflict === null ? this.#decide() : { action: null, wakeAt: null, blocked: this.#supervised.conflict };
    this.#blocked = decision.blocked;
    if (decision.action) {
      await this.#perform(decision.action);
      this.#publish();
      return decision.action.kind === 'forget' ? undefined : 'again';
    }
    this.#publish();
    this.#planNextLook(decision.wakeAt);
    return undefined;
  }

  #planNextLook(wakeAt: number | null): void {
    const now = this.#context.ticks();
    const run = this.#run;
    const times = [wakeAt ?? Infinity];
    if (run?.stop) times.push(run.stop.signalledAt + this.#context.settings.warnAfterMs);
    if (run && (!run.ready || run.stop)) times.push(now + EAGER_MS);
    const next = Math.min(...times.filter((time) => time > now));
    if (next < now + LOOK_MS) this.#timer = setTimeout(() => this.#loop.wake(), next - now);
  }

  async #look(): Promise<void> {
    const { runner } = this.#context;
    const goal = this.goal;
    if (this.#run?.exit) await this.#ended(this.#run);
    if (!this.#run && !this.#forgotten) {
      const found = await runner.find(goal.dbPath === null ? { mongosPort: goal.port } : { dbPath: goal.dbPath });
      const process = found && (await runner.adopt(found));
      if (found && process) await this.#adopt(found, process);
      else this.#everAbsent = true;
    }
    if (this.#run) await this.#run.look(this.#context.ticks());
    if (goal.desired === 'removed' && goal.dbPath !== null) this.#dataExists = await dataExists(goal.dbPath);
    if (this.#run?.ready && this.#run.stop === null) this.#lastEnd = null;
    this.#version = this.#run?.view.version ?? this.#version;
    this.#looked = true;
  }

  #decide() {
    const run = this.#run;
    const reality: Reality = {
      presence: !this.#looked ? { kind: 'unknown' } : run ? { kind: 'present', pid: run.process.identity.pid } : { kind: 'absent' },
      ready: run?.ready ?? false,
      stop: run?.stop ?? null,
      deniedAt: run?.deniedAt ?? null,
      retryAt: this.#retryAt,
      dataExists: this.#dataExists,
      set: run?.view.set ?? null,
      router: run?.view.router ?? null,
      administration: run?.administration ?? { busy: false, retryAt: 0, steppedUpAt: null },
    };
    const { goal, authority } = this.#supervised;
    return converge({ goal, authority, reality, settings: this.#context.settings, now: this.#context.ticks() });
  }

  async #perform(action: Action): Promise<void> {
    switch (action.kind) {
      case 'start':
        return this.#start();
      case 'terminate':
        return this.#signal('SIGTERM');
      case 'kill':
        this.#logger.warn({ killAfterMs: this.#context.settings.killAfterMs }, 'the process did not stop in time and is killed');
        return this.#signal('SIGKILL');
      case 'remove-data':
        return this.#removeData();
      case 'forget':
        this.#forgotten = true;
        await this.#context.state.forgetProcess(this.goal.id);
        return;
      case 'initiate':
        return this.#administer('initiating the replica set', (run) => initiate(run.probe.connection, this.goal));
      case 'step-up':
        if (this.#run) this.#run.administration.steppedUpAt = this.#context.ticks();
        return this.#administer(`stepping up ${action.host}`, (run) => stepUp(run.probe.connection, this.goal, action.host));
      case 'add-shards':
        return this.#administer(`adding shards ${action.names.join(', ')}`, (run) =>
          addShards(run.probe.connection, this.goal, action.names),
        );
    }
  }

  async #start(): Promise<void> {
    const { runner, state, programs, dataFolder, childEnvironment } = this.#context;
    const goal = this.goal;
    this.#beginning = true;
    this.#publish();
    try {
      const program = goal.kind === 'mongos' ? programs.mongos : programs.mongod;
      if (program === null) throw new StartError('There is no mongos on this host. Set MONGOS_BIN or the folder of the programs.');
      if (goal.dbPath !== null) await prepareDataPath(dataFolder, goal.dbPath, goal.adopted);
      await state.rotateLog(goal.id);
      const { argv, logPath } = commandLine(goal, state.logPath(goal.id));
      const consolePath = state.consolePath(goal.id);
      const log = new RunLog({ logPath, consolePath });
      await log.position();
      const process = await runner.start({ program, argv, cwd: state.path, consolePath, env: childEnvironment });
      await state.storeProcessRecord(goal.id, process.identity);
      this.#logger.info({ pid: process.identity.pid, program, argv: redactArguments(argv) }, 'process started');
      this.#begin(process, log, logPath !== null);
    } catch (error) {
      if (!isExpected(error)) throw error;
      this.#logger.error({ err: error }, 'the process could not be started');
      this.#failed({ code: null, signal: null, error: error.message, failed: true, lines: [] });
    } finally {
      this.#beginning = false;
    }
  }

  /** Takes charge of a process that is already running: left by an earlier life of this agent, by the host, or started by hand. */
  async #adopt(found: TableEntry, process: SupervisedProcess): Promise<void> {
    const { state, clock } = this.#context;
    const goal = this.goal;
    const ours = isSame(await state.processRecord(goal.id), found);
    const given = optionValue(found.argv.slice(1), 'logpath');
    const logPath = given === undefined ? null : isAbsolute(given) ? given : resolve(found.cwd ?? '/', given);
    const log = new RunLog({ logPath, consolePath: null });
    await log.position();
    this.#adoptedLogPath = logPath;
    const byHand = !ours && goal.desired !== 'running' && (this.#everAbsent || !goal.adopted);
    if (byHand) this.#startedByHandAt = clock.now();
    const message = byHand ? 'a process was started by hand although it should be stopped' : 'running process adopted';
    this.#logger[byHand ? 'warn' : 'info']({ pid: found.pid, argv: redactArguments(found.argv) }, message);
    this.#begin(process, log, logPath !== null);
  }

  #begin(process: SupervisedProcess, log: RunLog, logTellsReadiness: boolean): void {
    this.#run = new SupervisedRun({
      process,
      log,
      logTellsReadiness,
      goal: () => this.goal,
      wake: () => this.#loop.wake(),
      onError: (error) => this.#logger.error({ err: error }, 'asking a process failed; it is asked again'),
      begunAt: this.#context.ticks(),
    });
  }

  async #ended(run: SupervisedRun): Promise<void> {
    await run.log.read();
    await run.close();
    this.#run = null;
    const code = run.exit?.code ?? run.log.exitCode;
    const signal = run.exit?.signal ?? null;
    const failed = run.stop === null;
    const { error, hint, cause } = run.log.explain({ code, signal });
    const unclean = failed || code !== 0;
    const end: LastEnd = {
      code,
      signal,
      error: unclean && code !== null ? [error, hint].filter((text) => text !== null).join(' ') : failed ? error : null,
      failed,
      lines: unclean ? run.log.lastLines(REPORTED_LINES) : [],
    };
    if (failed) {
      if (run.readyAt !== null && this.#context.ticks() - run.readyAt >= this.#context.settings.stableAfterMs) this.#failures = 0;
      this.#logger.error({ exitCode: code, signal, cause, hint }, `the process ended without an order: ${error}`);
      this.#failed(end);
    } else {
      this.#logger.info(
        { exitCode: code, signal, milliseconds: Math.round(this.#context.ticks() - run.stop!.signalledAt) },
        'process stopped',
      );
      this.#lastEnd = end;
      this.#failures = 0;
      this.#retryAt = null;
    }
  }

  #failed(end: LastEnd): void {
    const { restartBaseMs, restartMaxMs } = this.#context.settings;
    this.#lastEnd = end;
    this.#failures += 1;
    this.#retryAt = this.#context.ticks() + backoffMs(this.#failures, { baseMs: restartBaseMs, maxMs: restartMaxMs });
  }

  async #signal(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const run = this.#run;
    if (!run) return;
    const outcome = await this.#context.runner.signal(run.process.identity, signal);
    const now = this.#context.ticks();
    if (outcome === 'not-permitted') {
      run.deniedAt = now;
      this.#logger.error({ pid: run.process.identity.pid }, 'the process belongs to another user and cannot be stopped');
      return;
    }
    // `gone` is a process whose exit is about to be seen: it counts as ordered all the same.
    const begun = run.stop ?? { signalledAt: now, killedAt: null, wallTime: this.#context.clock.now() };
    run.stop = signal === 'SIGKILL' ? { ...begun, killedAt: now } : begun;
    if (signal === 'SIGTERM') this.#logger.info({ pid: run.process.identity.pid, reason: this.goal.reason }, 'stop signal sent');
    void run.stopProbing();
  }

  async #removeData(): Promise<void> {
    const { dbPath } = this.goal;
    if (dbPath === null) return;
    try {
      await removeDataPath(this.#context.dataFolder, dbPath);
      this.#logger.warn({ dbPath }, 'data path removed, as the goal says');
    } catch (error) {
      if (!isExpected(error)) throw error;
      this.#logger.error({ err: error, dbPath }, 'the data path could not be removed');
      this.#failed({ code: null, signal: null, error: error.message, failed: true, lines: [] });
    }
  }

  /** Runs a command beside the loop, so that an order to stop never waits for it. */
  async #administer(what: string, command: (run: SupervisedRun) => Promise<AdministrationOutcome>): Promise<void> {
    const run = this.#run;
    if (!run) return;
    run.administration.busy = true;
    this.#logger.info(what);
    void command(run)
      .catch((error: unknown): AdministrationOutcome => ({ ok: false, error: error instanceof Error ? error.message : String(error) }))
      .then((outcome) => {
        const { administration } = run;
        administration.busy = false;
        administration.failures = outcome.ok ? 0 : administration.failures + 1;
        administration.error = outcome.ok ? null : outcome.error;
        // After a success the next look needs a moment to see it.
        const pause = outcome.ok ? EAGER_MS * 5 : backoffMs(administration.failures, { baseMs: 1_000, maxMs: 15_000 });
        administration.retryAt = this.#context.ticks() + pause;
        if (!outcome.ok && run.stop === null) this.#logger.warn({ error: outcome.error }, `${what} failed; it is tried again`);
        if (run.stop === null) run.probe.wake();
        this.#loop.wake();
      });
  }

  #publish(): void {
    const observation = this.#looked && !this.#forgotten ? this.#observe() : null;
    if (JSON.stringify(observation) === JSON.stringify(this.#observation)) return;
    this.#observation = observation;
    this.#context.onChange();
  }

  #observe(): ProcessObservation {
    const run = this.#run;
    const { desired } = this.goal;
    const value = statusOf({
      desired,
      present: run !== null,
      beginning: this.#beginning,
      ready: run?.ready ?? false,
      stopping: run?.stop !== null && run?.stop !== undefined,
      failed: this.#lastEnd?.failed ?? false,
    });
    if (value !== this.#status.value) this.#status = { value, since: this.#context.clock.now() };
    const running = value === 'running';
    const hello = running ? run?.view.hello : null;
    const overdue = run?.stop && this.#context.ticks() - run.stop.signalledAt >= this.#context.settings.warnAfterMs;
    const silent = running && run && !run.view.answers && this.#context.ticks() - (run.readyAt ?? 0) > 5_000;
    return {
      id: this.goal.id,
      status: value,
      pid: run?.process.identity.pid ?? null,
      since: this.#status.since.toISOString(),
      version: this.#version,
      memberState: running && this.goal.replicaSet ? (hello?.memberState ?? run?.log.memberState ?? null) : null,
      writable: hello?.writable ?? false,
      exitCode: this.#lastEnd?.code ?? null,
      exitSignal: this.#lastEnd?.signal ?? null,
      error:
        this.#blocked ??
        (run?.stop === null ? run.administration.error : null) ??
        (silent ? 'The process runs but does not answer.' : null) ??
        this.#lastEnd?.error ??
        null,
      lastLogLines: [...(this.#lastEnd?.lines ?? [])],
      stopOverdueSince: overdue ? run.stop!.wallTime.toISOString() : null,
      startedByHandAt: this.#startedByHandAt?.toISOString() ?? null,
    };
  }
}

function isSame(record: ProcessIdentity | null, found: ProcessIdentity): boolean {
  return record !== null && record.pid === found.pid && record.startTime === found.startTime;
}

/** Failures of this one process (its arguments, its folder, its program, its disk). Anything else is a fault of ours and is logged as one. */
function isExpected(error: unknown): error is Error {
  return (
    error instanceof ArgumentsError ||
    error instanceof DataPathError ||
    error instanceof StartError ||
    (error instanceof Error && 'code' in error && 'syscall' in error)
  );
}
