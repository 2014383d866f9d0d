import type { ProcessGoal, ProcessObservation } from '@atrest/contracts';
import {
  optionValue,
  MongodConnection,
  parseAddress,
  tailLog,
  type MongodConnectionOptions,
  type ProcessIdentity,
  type SupervisedProcess,
  type TableEntry,
} from '@atrest/mongod';
import type { Logger } from '@atrest/platform-logging';
import { backoffMs, BackgroundLoop } from '@atrest/platform-time';
import type { AdministrationOutcome } from './administration-outcome.js';
import { addShards, changeMembers, initiate, stepUp, yieldPrimary } from './administration.js';
import { converge, missingShards, type Action, type Decision, type Reality } from './converge.js';
import { dataExists, keepApart, removeDataPath } from './data-path.js';
import { connectionOptions, NO_ACCESS, openAccess, type OpenedAccess } from './process-access.js';
import { hasUsers, makeUsers } from './server-users.js';
import { follow, isProcessFailure, launch, type Launched } from './launch.js';
import { observationOf, type LastEnd } from './process-observation.js';
import { statusOf, type ProcessStatus } from './process-status.js';
import { Restarts } from './restarts.js';
import { endedBy, endOf } from './run-end.js';
import type { BackupMember } from './snapshots/member.js';
import { SupervisedRun } from './supervised-run.js';
import type { SupervisedGoal, SupervisorContext } from './supervisor-context.js';

/** While a process starts or stops its log is read this often; of a start of 0.7 s and a stop of 0.4 s this is little. */
const EAGER_MS = 100;
/** The longest time without a look: a process that was started by hand is found within it. */
const LOOK_MS = 1_000;

/** A lock or a cursor waits for a checkpoint, which takes minutes on a big, busy server. */
const LONGEST_ANSWER_MS = 600_000;

/** Brings one process to its goal and keeps it there. Decisions are {@link converge}'s; here are their effects. */
export class ProcessSupervisor implements BackupMember {
  readonly #context: SupervisorContext;
  readonly #loop: BackgroundLoop;
  readonly #logger: Logger;
  readonly #restarts: Restarts;
  #supervised: SupervisedGoal;
  #run: SupervisedRun | null = null;
  #looked = false;
  #everAbsent = false;
  #beginning = false;
  #forgotten = false;
  #dataExists = false;
  #wasMember: boolean | null = null;
  #lastEnd: LastEnd | null = null;
  #blocked: string | null = null;
  #oddity: string | null = null;
  #version: string | null = null;
  #startedByHandAt: Date | null = null;
  #status: { value: ProcessStatus; since: Date };
  #observation: ProcessObservation | null = null;
  #timer: NodeJS.Timeout | undefined;
  #logPath: string | null = null;
  #access: OpenedAccess = NO_ACCESS;
  #suspension: string | null = null;
  #held: ProcessObservation['heldForBackup'] | null = null;
  #isOver = false;
  #afterRound: (() => void)[] = [];

  constructor(context: SupervisorContext, supervised: SupervisedGoal) {
    this.#context = context;
    this.#supervised = supervised;
    const { id, clusterName, kind, port } = supervised.goal;
    this.#logger = context.logger.child({ processId: id, clusterName, kind, port });
    this.#restarts = new Restarts(context.settings);
    this.#status = { value: 'stopped', since: context.clock.now() };
    this.#loop = new BackgroundLoop({
      name: `process ${id}`,
      intervalMs: LOOK_MS,
      run: () =>
        this.#round().finally(() => {
          for (const resolve of this.#afterRound.splice(0)) resolve();
        }),
      onError: (error) => this.#logger.error({ err: error }, 'looking after a process failed; it is tried again'),
    });
  }

  /** What it should look like now: stopped while it is suspended, whatever was ordered. */
  get goal(): ProcessGoal {
    const { goal } = this.#supervised;
    return this.#suspension === null || goal.desired !== 'running' ? goal : { ...goal, desired: 'stopped', reason: this.#suspension };
  }

  get process(): ProcessIdentity | null {
    const run = this.#run;
    return run?.ready && run.stop === null ? run.process.identity : null;
  }

  connect(): MongodConnection {
    if (this.#run === null) throw new TypeError('only a process that runs is connected to');
    return this.#run.probe.connect(undefined, { timeoutMs: 10_000, longestAnswerMs: LONGEST_ANSWER_MS });
  }

  connectTo(address: string): MongodConnection {
    const options = connectionOptions(this.goal, this.#access.secret, parseAddress(address));
    return new MongodConnection({ ...options, timeoutMs: 10_000, longestAnswerMs: LONGEST_ANSWER_MS });
  }

  async suspend(reason: string, signal: AbortSignal): Promise<void> {
    this.#suspension = reason;
    this.#logger.info({ reason }, 'the process is suspended');
    while (!this.#looked || this.#run !== null || this.#beginning) {
      signal.throwIfAborted();
      if (this.#isOver) throw new Error('The process is not looked after any more.');
      this.#loop.wake();
      await this.#nextRound(signal);
    }
  }

  resume(): void {
    if (this.#suspension === null) return;
    this.#suspension = null;
    this.#logger.info('the process is not suspended any more');
    this.#loop.wake();
  }

  /** For questions beside those of the supervision; null while there is nobody to ask. */
  get connection(): MongodConnection | null {
    return this.process === null ? null : this.#run!.probe.connection;
  }

  /** What is held on the process for a backup. */
  setHeld(held: ProcessObservation['heldForBackup'] | null): void {
    this.#held = held;
    this.#publish();
  }

  #nextRound(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      this.#afterRound.push(resolve);
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }

  start(): void {
    this.#loop.start();
  }

  /** Ends the supervision. The process is left as it is. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#loop.stop();
    clearTimeout(this.#timer);
    this.#isOver = true;
    for (const resolve of this.#afterRound.splice(0)) resolve();
    await this.#run?.close();
  }

  setGoal(supervised: SupervisedGoal): void {
    const before = this.#supervised;
    this.#supervised = supervised;
    if (JSON.stringify(before.goal) !== JSON.stringify(supervised.goal)) {
      const { desired, reason } = supervised.goal;
      const turned = desired !== before.goal.desired;
      // Somebody changed something: what failed before may work now. A change of something else brings no key back.
      if (turned || !this.#lastEnd?.endedForKey) this.#restarts.forget();
      this.#forgotten = false;
      if (turned) this.#logger.info({ desired, reason }, 'goal changed');
    }
    if (supervised.goal.desired === 'running') this.#startedByHandAt = null;
    this.#loop.wake();
  }

  /** What is reported of the process; null only when nothing of it is left. */
  get observation(): ProcessObservation | null {
    return this.#forgotten ? null : (this.#observation ?? this.#observe());
  }

  /** It has been looked for, and asked where it was found: what is reported now is no guess. */
  get isKnown(): boolean {
    return this.#looked && (this.#run === null || this.#run.isKnown);
  }

  /** How to reach its server, with the login that there is for it. Contains secrets. */
  get connectionOptions(): MongodConnectionOptions {
    return connectionOptions(this.goal, this.#access.secret);
  }

  async lastLogLines(count: number): Promise<string[]> {
    return tailLog(this.#logPath ?? this.#context.state.logPath(this.goal.id), count);
  }

  async #round(): Promise<void | 'again'> {
    clearTimeout(this.#timer);
    if (this.#access.sealed !== (this.goal.access?.sealed ?? null)) this.#access = await openAccess(this.goal, this.#context.open);
    await this.#look();
    const { conflict } = this.#supervised;
    const decision = conflict === null ? this.#decide() : { action: null, wakeAt: null, blocked: conflict };
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
    await this.#noteMembership();
    if (this.#run?.ready && this.#run.stop === null) this.#lastEnd = null;
    this.#version = this.#run?.view.version ?? this.#version;
    this.#looked = true;
  }

  /**
   * Outlives the data path: a member that has lost it must not be mistaken for a new one. And outlives the right to ask: once a cluster has users, nobody
   * tells an agent without a password which shards it has.
   */
  async #noteMembership(): Promise<void> {
    this.#wasMember ??= await this.#context.state.wasMember(this.goal.id);
    const view = this.#run?.view;
    const isMember =
      view?.hello?.kind === 'member' || (view?.hello?.kind === 'mongos' && missingShards(this.goal, view.router)?.length === 0);
    if (this.#wasMember || !isMember) return;
    await this.#context.state.rememberMember(this.goal.id);
    this.#wasMember = true;
  }

  #decide(): Decision {
    const run = this.#run;
    const reality: Reality = {
      presence: !this.#looked ? { kind: 'unknown' } : run ? { kind: 'present', pid: run.process.identity.pid } : { kind: 'absent' },
      ready: run?.ready ?? false,
      stop: run?.stop ?? null,
      deniedAt: run?.deniedAt ?? null,
      retryAt: this.#restarts.retryAt,
      dataExists: this.#dataExists,
      wasMember: this.#wasMember ?? false,
      set: run?.view.set ?? null,
      router: run?.view.router ?? null,
      membership: run?.view.membership?.step ?? null,
      users: run?.view.users ?? null,
      administration: run?.administration ?? { busy: false, retryAt: 0, steppedUpAt: null },
    };
    const { authority } = this.#supervised;
    return converge({ goal: this.goal, authority, reality, settings: this.#context.settings, now: this.#context.ticks() });
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
        this.#wasMember = false;
        return;
      case 'initiate':
        return this.#administer('initiating the replica set', (run) => initiate(run.probe.connection, this.goal));
      case 'step-up':
        if (this.#run) this.#run.administration.steppedUpAt = this.#context.ticks();
        return this.#administer(`stepping up ${action.host}`, (run) =>
          stepUp(run.probe.connection, this.goal, action.host, (address) => run.probe.connect(address)),
        );
      case 'make-users':
        return this.#administer('making users', (run) => this.#makeUsers(run));
      case 'add-shards':
        return this.#administer(`adding shards ${action.names.join(', ')}`, (run) =>
          addShards(run.probe.connection, this.goal, action.names),
        );
      case 'reconfigure':
        return this.#administer(`changing the members of the replica set: ${action.what}`, (run) => changeMembers(run.probe, action));
      case 'step-down':
        return this.#administer('stepping down', (run) => yieldPrimary(run.probe));
    }
  }

  async #makeUsers(run: SupervisedRun): Promise<AdministrationOutcome> {
    const { users } = run.view;
    const { secret } = this.#access;
    if (secret === null || users?.kind !== 'missing') return { ok: 'too-early' };
    const outcome = await makeUsers(this.goal, secret, users);
    run.probe.connection.loginAgain();
    return outcome;
  }

  async #start(): Promise<void> {
    this.#beginning = true;
    this.#publish();
    const { goal } = this;
    const argumentsVersion = goal.argumentsVersion ?? 0;
    try {
      const launched = await launch(
        this.#context,
        goal,
        this.#access,
        () => this.goal.desired === 'running' && this.goal.mayStart !== false,
      );
      if (!launched) return;
      this.#begin(launched, null, argumentsVersion);
      this.#logger.info({ pid: launched.process.identity.pid, argv: launched.shown }, 'process started');
      await this.#context.state.storeProcessRecord(goal.id, { ...launched.process.identity, argumentsVersion });
    } catch (error) {
      if (!isProcessFailure(error)) throw error;
      this.#logger.error({ err: error }, this.#run ? 'the start could not be noted down' : 'the process could not be started');
      // Without the note the next agent takes the process for somebody else's, which it only says; it runs all the same.
      if (!this.#run) this.#failed(endedBy(error));
    } finally {
      this.#beginning = false;
    }
  }

  /** Takes charge of a process that is already running: left by an earlier life of this agent, by the host, or started by hand. */
  async #adopt(found: TableEntry, process: SupervisedProcess): Promise<void> {
    const { goal } = this;
    const launched = await follow(found, process);
    const record = await this.#context.state.processRecord(goal.id);
    const ours = isSame(record, found);
    const byHand = !ours && goal.desired !== 'running' && (this.#everAbsent || !goal.adopted);
    if (byHand) this.#startedByHandAt = this.#context.clock.now();
    const message = byHand ? 'a process was started by hand although it should be stopped' : 'running process adopted';
    this.#logger[byHand ? 'warn' : 'info']({ pid: found.pid, argv: launched.shown }, message);
    const port = optionValue(found.argv.slice(1), 'port') ?? (optionValue(found.argv.slice(1), 'config') === undefined ? '27017' : null);
    const odd = port !== null && port !== String(goal.port);
    this.#begin(
      launched,
      odd ? `Process ${found.pid} uses the data path and listens on port ${port}, not on ${goal.port}.` : null,
      ours ? (record?.argumentsVersion ?? 0) : null,
    );
  }

  #begin({ process, log, logPath }: Launched, oddity: string | null, argumentsVersion: number | null): void {
    this.#oddity = oddity;
    this.#logPath = logPath;
    this.#run = new SupervisedRun({
      process,
      log,
      logTellsReadiness: logPath !== null,
      goal: () => this.goal,
      access: () => this.#access.secret,
      argumentsVersion,
      wake: () => this.#loop.wake(),
      onError: (error) => this.#logger.error({ err: error }, 'asking a process failed; it is asked again'),
    });
  }

  async #ended(run: SupervisedRun): Promise<void> {
    await run.log.read();
    await run.close();
    this.#run = null;
    const { end, explanation } = endOf(run, this.#context.clock.now());
    const { code: exitCode, signal } = end;
    const now = this.#context.ticks();
    if (run.stop === null) {
      const { error, hint, cause } = explanation;
      this.#logger.error({ exitCode, signal, cause, hint }, `the process ended without an order: ${error}`);
      this.#failed(end, run.readyAt === null ? null : now - run.readyAt);
    } else {
      this.#logger.info({ exitCode, signal, milliseconds: Math.round(now - run.stop.signalledAt) }, 'process stopped');
      this.#lastEnd = end;
      this.#restarts.forget();
    }
  }

  #failed(end: LastEnd, readyForMs: number | null = null): void {
    this.#lastEnd = end;
    this.#restarts.failed({ readyForMs, endedForKey: end.endedForKey !== null }, this.#context.ticks());
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
      await keepApart(dbPath, this.#context.state.path);
      await removeDataPath(this.#context.dataFolder, dbPath);
      this.#logger.warn({ dbPath }, 'data path removed, as the goal says');
    } catch (error) {
      if (!isProcessFailure(error)) throw error;
      this.#logger.error({ err: error, dbPath }, 'the data path could not be removed');
      this.#failed(endedBy(error));
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
        const error = outcome.ok === false ? outcome.error : null;
        administration.busy = false;
        administration.failures = error === null ? 0 : administration.failures + 1;
        administration.error = error;
        // The patience is for an election that was called.
        if (outcome.ok === 'too-early') administration.steppedUpAt = null;
        // After a success the next look needs a moment to see it.
        const pause = error === null ? EAGER_MS * 5 : backoffMs(administration.failures, { baseMs: 1_000, maxMs: 15_000 });
        administration.retryAt = this.#context.ticks() + pause;
        if (error !== null && run.stop === null) this.#logger.warn({ error }, `${what} failed; it is tried again`);
        if (run.stop === null) run.probe.wake();
        this.#loop.wake();
      });
  }

  #publish(): void {
    const observation = this.#forgotten ? null : this.#observe();
    if (JSON.stringify(observation) === JSON.stringify(this.#observation)) return;
    this.#observation = observation;
    this.#context.onChange();
  }

  /** Nothing is missing that who writes would miss: shards of the cluster of a mongos, users of the set of a primary. */
  #isComplete(run: SupervisedRun | null): boolean {
    if (run !== null && this.#access.secret?.keyFile != null && run.view.hello?.memberState === 'PRIMARY') return hasUsers(run.view.users);
    return this.#wasMember === true || missingShards(this.goal, run?.view.router ?? null)?.length === 0;
  }

  #observe(): ProcessObservation {
    const run = this.#run;
    const status = statusOf({
      desired: this.goal.desired,
      looked: this.#looked,
      present: run !== null,
      beginning: this.#beginning,
      ready: run?.ready ?? false,
      stopping: run !== null && run.stop !== null,
      failed: this.#lastEnd?.failed ?? false,
    });
    if (status !== this.#status.value) this.#status = { value: status, since: this.#context.clock.now() };
    return observationOf({
      id: this.goal.id,
      status,
      since: this.#status.since,
      pid: run?.process.identity.pid ?? null,
      version: this.#version,
      isMember: this.goal.replicaSet !== null,
      hello: run?.view.hello ?? null,
      complete: this.#isComplete(run),
      loggedState: run?.log.memberState ?? null,
      readyAt: run?.readyAt ?? null,
      stop: run?.stop ?? null,
      lastEnd: this.#lastEnd,
      blocked: this.#blocked ?? (run ? this.#oddity : null),
      administrationError: this.#access.error ?? run?.view.loginRefused ?? run?.administration.error ?? null,
      startedByHandAt: this.#startedByHandAt,
      wasMember: this.#wasMember ?? false,
      argumentsVersion: run?.argumentsVersion ?? null,
      setMembers: run?.view.membership?.members ?? null,
      shards: run?.view.router?.shards ?? null,
      administrator: run?.view.users && 'administrator' in run.view.users ? run.view.users.administrator : null,
      held: this.#held,
      warnAfterMs: this.#context.settings.warnAfterMs,
      now: this.#context.ticks(),
    });
  }
}

function isSame(record: ProcessIdentity | null, found: ProcessIdentity): boolean {
  return record !== null && record.pid === found.pid && record.startTime === found.startTime;
}
