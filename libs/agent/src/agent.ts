import {
  type AgentTask,
  type AgentTaskResult,
  type HostGoal,
  type ObservationReport,
  type PollResponse,
  type ProcessGoal,
} from '@atrest/contracts';
import { ChildProcessRunner, type ProcessRunner } from '@atrest/mongod';
import type { Secret } from '@atrest/platform-config';
import type { Logger } from '@atrest/platform-logging';
import { backoffMs, systemClock, type Clock } from '@atrest/platform-time';
import { ChannelClient, ChannelError } from './channel-client.js';
import { childEnvironment } from './child-environment.js';
import type { Authority } from './converge.js';
import { fitLogLines, lastWithin, LOG_LINES_LIMIT } from './log-lines.js';
import { conflictingProcesses } from './process-status.js';
import { ProcessSupervisor } from './process-supervisor.js';
import { Reporter } from './reporter.js';
import { SealingKey } from './sealing-key.js';
import { BalancerNotes } from './snapshots/balancer.js';
import { BackupTasks, cancelledUnknown } from './snapshots/backup-tasks.js';
import type { AgentKmsOptions } from './snapshots/task-key.js';
import { HoldWatch, type HeldProcess } from './snapshots/hold-watch.js';
import { HoldNotes } from './snapshots/holds.js';
import type { AgentSnapshotStore } from './snapshots/store-settings.js';
import type { BackupHost } from './snapshots/task-context.js';
import { lockStateFolder } from './state-lock.js';
import { StateFolder, type StoredCredential } from './state-folder.js';
import type { SupervisorContext, SupervisorSettings } from './supervisor-context.js';
import { TaskResults } from './task-results.js';

export const AGENT_VERSION = '0.1.0';

export interface AgentOptions {
  readonly controlPlane: {
    readonly url: string;
    /** PEM text of a certificate authority. */
    readonly ca?: string | undefined;
  };
  /** One-time token; needed only until this host is enrolled. */
  readonly token?: Secret | undefined;
  /** The name under which other hosts and clients reach this one. */
  readonly hostname: string;
  /** Data paths are created, and removed, only below it. */
  readonly dataFolder: string;
  /** Credential, remembered goal and logs. */
  readonly stateFolder: string;
  readonly portRange: { readonly first: number; readonly last: number };
  readonly capacity: number;
  readonly allowsColocation: boolean;
  readonly programs: { readonly mongod: string; readonly mongos: string | null };
  readonly stop: { readonly warnAfterMs: number; readonly killAfterMs: number };
  /** Where this host keeps snapshots; null or absent: it takes none. */
  readonly snapshotStore?: AgentSnapshotStore | null;
  /** Where the key providers are reached, in place of their own addresses. */
  readonly kms?: AgentKmsOptions;
  readonly logger: Logger;
  readonly clock?: Clock;
  readonly runner?: ProcessRunner;
  /** Environment of the processes; a safe part of the agent's own by default. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Intervals that tests shorten. */
  readonly intervals?: Partial<AgentIntervals>;
  /** Times of the snapshot store that tests shorten. */
  readonly storeTimes?: Pick<BackupHost, 'leaseTimes' | 'graceMs' | 'holdLimitMs'>;
}

export interface AgentIntervals {
  /** Longest wait of one poll. Below the 30 s after which a host counts as silent and proxies give up. */
  readonly pollSeconds: number;
  readonly heartbeatMs: number;
  /** A control plane that does not answer for this long after our start is not waited for: what was remembered is carried out. */
  readonly rememberedGoalAfterMs: number;
  readonly restartBaseMs: number;
  readonly restartMaxMs: number;
  /** What is held for backups is looked at, and kept alive, this often. */
  readonly holdsMs: number;
}

const INTERVALS: AgentIntervals = {
  pollSeconds: 25,
  heartbeatMs: 5_000,
  rememberedGoalAfterMs: 5_000,
  restartBaseMs: 1_000,
  restartMaxMs: 60_000,
  holdsMs: 5_000,
};

/** After a refusal the control plane is asked again this often: a credential comes back only when a person acts. */
const REFUSED_RETRY_MS = 60_000;

/** Of polls while a task is being cancelled, which takes as long as a server takes to give back a lock. */
const CANCELLING_PAUSE_MS = 500;

/** What a report waits for processes that nobody has looked for or asked yet. Looking takes milliseconds; a lost disk must not make the host silent. */
const FIRST_LOOK_MS = 3_000;

/** The process beside mongod and mongos on a host. */
export interface Agent {
  /** Enrols the host if need be, takes up its goal and begins to converge. Rejects when enrolment is refused or another agent has the state folder. */
  start(): Promise<void>;
  /** Ends the agent. `leave`: processes run on, and the next agent adopts them; `stop`: they are stopped in order first. */
  stop(options: { processes: 'leave' | 'stop' }): Promise<void>;
  readiness(): Promise<{ ok: boolean; detail?: string }>;
  /** Id of this host, once it is enrolled. */
  readonly hostId: string | null;
}

export function createAgent(options: AgentOptions): Agent {
  return new RunningAgent(options);
}

class RunningAgent implements Agent {
  readonly #options: AgentOptions;
  readonly #intervals: AgentIntervals;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #channel: ChannelClient;
  readonly #state: StateFolder;
  readonly #context: SupervisorContext;
  readonly #reporter: Reporter;
  readonly #supervisors = new Map<string, ProcessSupervisor>();
  readonly #stopping = new AbortController();
  #credential: StoredCredential | null = null;
  #sealingKey: SealingKey | null = null;
  #goal: HostGoal | null = null;
  #authority: Authority = 'remembered';
  #polling: Promise<void> = Promise.resolve();
  #channelError: ChannelError | null = null;
  readonly #results: TaskResults;
  readonly #backups: BackupTasks;
  readonly #holds: HoldWatch;
  #waiters: (() => void)[] = [];
  /** Reports are numbered by the life of the agent and within it. */
  #run = 1;
  #sequence = 0;
  #waitForLooksUntil = 0;
  #unlock: () => Promise<void> = () => Promise.resolve();

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#intervals = { ...INTERVALS, ...options.intervals };
    this.#logger = options.logger;
    this.#clock = options.clock ?? systemClock;
    this.#channel = new ChannelClient({ baseUrl: options.controlPlane.url, ca: options.controlPlane.ca });
    this.#state = new StateFolder(options.stateFolder);
    const settings: SupervisorSettings = {
      warnAfterMs: options.stop.warnAfterMs,
      killAfterMs: options.stop.killAfterMs,
      restartBaseMs: this.#intervals.restartBaseMs,
      restartMaxMs: this.#intervals.restartMaxMs,
      stableAfterMs: 60_000,
      stepUpPatienceMs: 15_000,
      deniedRetryMs: 5_000,
    };
    this.#context = {
      runner: options.runner ?? new ChildProcessRunner(),
      state: this.#state,
      programs: options.programs,
      childEnvironment: options.environment ?? childEnvironment(process.env),
      open: (sealed) => this.#sealingKey!.open(sealed),
      dataFolder: options.dataFolder,
      allowsColocation: options.allowsColocation,
      settings,
      clock: this.#clock,
      ticks: () => performance.now(),
      logger: this.#logger,
      onChange: () => this.#changed(),
    };
    this.#reporter = new Reporter({
      compose: () => this.#composeReport(),
      send: (report, signal) => this.#channel.report(this.#credential!.credential, report, signal),
      onError: (error) => this.#logger.warn({ err: error }, 'an observation report did not arrive; a fresh one follows'),
      heartbeatMs: this.#intervals.heartbeatMs,
      coalesceMs: 50,
    });
    this.#results = new TaskResults({
      send: (result) => this.#channel.reportTask(this.#credential!.credential, result),
      logger: this.#logger,
      retryMs: this.#intervals.heartbeatMs,
    });
    const notes = new HoldNotes(options.stateFolder);
    const balancers = new BalancerNotes(options.stateFolder);
    this.#holds = new HoldWatch({
      notes,
      balancers,
      processes: () => this.#heldProcesses(),
      takingFrom: (processId) => this.#backups.takingFrom(processId),
      clock: this.#clock,
      logger: this.#logger,
      intervalMs: this.#intervals.holdsMs,
    });
    this.#backups = new BackupTasks({
      host: this.#backupHost(notes, balancers),
      clock: this.#clock,
      onProgress: () => this.#reporter.notify(),
      onHold: () => this.#holds.wake(),
      onResult: (result) => {
        this.#results.add(result);
        this.#reporter.notify();
      },
    });
  }

  #backupHost(notes: HoldNotes, balancers: BalancerNotes): BackupHost | null {
    const { snapshotStore, hostname, kms, storeTimes } = this.#options;
    if (snapshotStore == null) return null;
    return {
      hostname,
      store: snapshotStore,
      member: (processId) => this.#supervisors.get(processId) ?? null,
      openSealed: (sealed) => this.#sealingKey!.open(sealed),
      kms: kms ?? {},
      notes,
      balancers,
      settle: (processId, run) => this.#holds.settle(processId, run),
      clock: this.#clock,
      logger: this.#logger,
      keepAliveMs: this.#intervals.holdsMs,
      ...storeTimes,
    };
  }

  /** mongos has no files of its own. */
  #heldProcesses(): HeldProcess[] {
    return [...this.#supervisors.values()].flatMap((supervisor) => {
      const { connection, goal } = supervisor;
      if (connection === null || goal.kind === 'mongos') return [];
      return {
        processId: goal.id,
        run: (db, command, limitMs) => connection.run(db, command, limitMs),
        connectTo: (address) => supervisor.connectTo(address),
        tell: (held) => supervisor.setHeld(held),
      };
    });
  }

  get hostId(): string | null {
    return this.#credential?.hostId ?? null;
  }

  async start(): Promise<void> {
    await this.#state.prepare();
    this.#unlock = await lockStateFolder(this.#state.path);
    try {
      this.#run = await this.#state.nextRun();
      this.#sealingKey = await this.#state.sealingKey();
      this.#credential = (await this.#state.credential()) ?? (await this.#enrol());
    } catch (error) {
      await this.#unlock();
      throw error;
    }
    this.#polling = this.#poll();
    this.#reporter.start();
    this.#results.start();
    this.#holds.start();
  }

  async stop({ processes }: { processes: 'leave' | 'stop' }): Promise<void> {
    this.#stopping.abort();
    await this.#polling;
    // What they hold is given back while the processes still run.
    await this.#backups.stop();
    await Promise.all([this.#holds.stop(), this.#results.stop()]);
    if (processes === 'stop') await this.#stopProcesses();
    this.#reporter.stop();
    await Promise.all([...this.#supervisors.values()].map((supervisor) => supervisor.stop()));
    this.#channel.close();
    await this.#unlock();
  }

  async readiness(): Promise<{ ok: boolean; detail?: string }> {
    if (this.#credential === null) return { ok: false, detail: 'not enrolled' };
    if (this.#channelError) return { ok: false, detail: this.#channelError.message };
    return this.#authority === 'confirmed' ? { ok: true } : { ok: false, detail: 'the control plane has not confirmed a goal yet' };
  }

  async #enrol(): Promise<StoredCredential> {
    const { token, hostname, dataFolder, portRange, capacity, allowsColocation, controlPlane } = this.#options;
    if (!token)
      throw new ChannelError('CHANNEL.REFUSED', 'This host is not enrolled. Give the agent a one-time token (token or tokenFile).');
    const host = { hostname, dataFolder, portRange, capacity, allowsColocation, agentVersion: AGENT_VERSION };
    // On disk before the first try: the next life of this agent must be able to ask for an answer that was lost.
    const request = {
      token: token.reveal(),
      ...host,
      retrySecret: await this.#state.retrySecret(),
      sealingKey: this.#sealingKey!.publicJwk,
    };
    for (let attempt = 1; ; attempt += 1) {
      try {
        const { hostId, credential } = await this.#channel.enrol(request);
        const stored = { hostId, credential, controlPlane: controlPlane.url };
        await this.#state.storeCredential(stored);
        this.#logger.info({ hostId }, 'this host is enrolled');
        return stored;
      } catch (error) {
        if (!(error instanceof ChannelError) || !error.transient || error.code === 'CHANNEL.NOT_UNDERSTOOD') throw error;
        this.#logger.warn({ err: error }, 'the host could not be enrolled; it is tried again');
        if (!(await this.#pause(backoffMs(attempt, { baseMs: 500, maxMs: 15_000 })))) throw error;
      }
    }
  }

  async #poll(): Promise<void> {
    const { signal } = this.#stopping;
    const remembered = await this.#state.rememberedGoal();
    const begun = performance.now();
    // The first question is for the goal itself, whatever is remembered: only an answer makes it the control plane's word.
    let version = 0;
    let wait = 0;
    for (let failures = 0; !signal.aborted;) {
      try {
        const answer = await this.#channel.poll(this.#credential!.credential, version, wait, signal);
        failures = 0;
        if (this.#channelError) this.#logger.info('the control plane answers again');
        this.#channelError = null;
        version = await this.#take(answer, version);
        // A cancellation is named until its task has ended, and every answer comes at once meanwhile.
        if (answer?.cancelled?.length) await this.#pause(CANCELLING_PAUSE_MS);
        wait = this.#intervals.pollSeconds;
      } catch (error) {
        if (signal.aborted) return;
        failures += 1;
        const pause = this.#onPollError(error, failures);
        if (this.#goal === null && remembered && this.#isOurs(remembered)) {
          const patience = this.#intervals.rememberedGoalAfterMs - (performance.now() - begun);
          if (patience <= 0) {
            this.#logger.warn({ goalVersion: remembered.version }, 'the control plane does not answer; the remembered goal is pursued');
            this.#adoptGoal(remembered, 'remembered');
          } else if (await this.#pause(Math.min(pause, patience))) continue;
        }
        await this.#pause(pause);
      }
    }
  }

  #onPollError(error: unknown, failures: number): number {
    const refused = error instanceof ChannelError && !error.transient;
    const known = error instanceof ChannelError ? error : new ChannelError('CHANNEL.UNREACHABLE', String(error), null, { cause: error });
    if (refused) {
      this.#logger.fatal(
        { err: error },
        'the control plane refuses the credential of this host; processes are kept as last ordered. Enrol the host again with a new token.',
      );
    } else if (failures === 1 || failures % 20 === 0) {
      this.#logger.warn({ err: error, failures }, 'the control plane does not answer');
    }
    this.#channelError = known;
    return refused ? REFUSED_RETRY_MS : backoffMs(failures, { baseMs: 250, maxMs: 15_000 });
  }

  /** Carries out an answer; returns the version to ask for next. */
  async #take(answer: PollResponse | null, version: number): Promise<number> {
    const goal = answer?.goal ?? null;
    if (goal && this.#isOurs(goal) && (this.#authority !== 'confirmed' || goal.version > (this.#goal?.version ?? -1))) {
      // First on disk, then in deed: an order that was taken is carried out even if this process ends now.
      await this.#state.rememberGoal(goal);
      this.#adoptGoal(goal, 'confirmed');
    } else if (goal === null && version === 0 && this.#authority !== 'confirmed') {
      this.#logger.info('the control plane has no goal for this host yet');
      this.#authority = 'confirmed';
    }
    for (const task of answer?.tasks ?? []) await this.#perform(task);
    for (const taskId of answer?.cancelled ?? []) this.#cancel(taskId);
    for (const { taskId, at } of answer?.cuts ?? []) this.#backups.cut(taskId, at);
    return this.#authority === 'confirmed' ? (this.#goal?.version ?? 0) : 0;
  }

  #isOurs(goal: HostGoal): boolean {
    if (goal.hostId === this.#credential?.hostId) return true;
    this.#logger.error({ hostId: goal.hostId }, 'a goal for another host is ignored');
    return false;
  }

  #adoptGoal(goal: HostGoal, authority: Authority): void {
    this.#goal = goal;
    this.#authority = authority;
    const conflicts = conflictingProcesses(goal.processes);
    this.#logger.info({ goalVersion: goal.version, processes: goal.processes.length, authority }, 'goal taken up');
    for (const each of goal.processes) this.#supervise(each, authority, conflicts.get(each.id) ?? null);
    const named = new Set(goal.processes.map((each) => each.id));
    for (const [id, supervisor] of this.#supervisors) {
      if (named.has(id)) continue;
      // Not named is not 'removed': a database is never stopped by an omission.
      this.#logger.info({ processId: id }, 'the goal no longer names this process; it is left as it is');
      this.#supervisors.delete(id);
      void supervisor.stop();
    }
    this.#changed();
  }

  #supervise(goal: ProcessGoal, authority: Authority, conflict: string | null): void {
    const known = this.#supervisors.get(goal.id);
    if (known) {
      known.setGoal({ goal, authority, conflict });
      return;
    }
    this.#waitForLooksUntil = performance.now() + FIRST_LOOK_MS;
    const supervisor = new ProcessSupervisor(this.#context, { goal, authority, conflict });
    this.#supervisors.set(goal.id, supervisor);
    supervisor.start();
  }

  /** A task may come again, as long as its result has not arrived; it is done once. Work on snapshots runs beside: polling never waits for it. */
  async #perform(task: AgentTask): Promise<void> {
    if (this.#results.repeat(task.id)) return;
    if (task.kind === 'tail-log') this.#results.add(await this.#tailLog(task));
    else this.#backups.begin(task);
  }

  #cancel(taskId: string): void {
    if (this.#results.repeat(taskId)) return;
    const outcome = this.#backups.cancel(taskId);
    if (outcome === 'begun') this.#logger.info({ taskId }, 'a task is cancelled');
    if (outcome === 'unknown') this.#results.add(cancelledUnknown(taskId));
  }

  async #tailLog(task: Extract<AgentTask, { kind: 'tail-log' }>): Promise<AgentTaskResult> {
    try {
      const supervisor = this.#supervisors.get(task.processId);
      if (!supervisor) return { taskId: task.id, outcome: 'failed', error: 'This host does not know the process.', lines: null };
      return {
        taskId: task.id,
        outcome: 'done',
        error: null,
        lines: lastWithin(await supervisor.lastLogLines(task.lines), LOG_LINES_LIMIT),
      };
    } catch (error) {
      return { taskId: task.id, outcome: 'failed', error: (error as Error).message, lines: null };
    }
  }

  #composeReport(): ObservationReport | null {
    if (this.#goal === null && this.#authority !== 'confirmed') return null;
    const supervisors = [...this.#supervisors.values()];
    // Not before they were looked for: a process that runs would be reported as one that does not.
    if (performance.now() < this.#waitForLooksUntil && supervisors.some((supervisor) => !supervisor.isKnown)) return null;
    const processes = supervisors.map((supervisor) => supervisor.observation).filter((each) => each !== null);
    this.#sequence += 1;
    return {
      goalVersion: this.#goal?.version ?? 0,
      observedAt: this.#clock.now().toISOString(),
      agentVersion: AGENT_VERSION,
      number: { run: this.#run, sequence: this.#sequence },
      processes: fitLogLines(processes),
      ...(this.#sealingKey !== null && { sealingKey: this.#sealingKey.publicJwk }),
      snapshotStore: this.#options.snapshotStore?.description ?? null,
      tasks: this.#backups.progress,
    };
  }

  /** mongos first, then all mongods at once, then the config servers: a shard that stops after them takes over 20 s. */
  async #stopProcesses(): Promise<void> {
    for (const kind of ['mongos', 'mongod', 'config'] as const) {
      const phase = [...this.#supervisors.values()].filter((supervisor) => supervisor.goal.kind === kind);
      for (const supervisor of phase) {
        const goal = { ...supervisor.goal, desired: 'stopped' as const, reason: 'The agent was told to stop its processes.' };
        supervisor.setGoal({ goal, authority: this.#authority, conflict: null });
      }
      while (phase.some(isUp)) {
        await new Promise<void>((resolve) => this.#waiters.push(resolve));
      }
    }
  }

  #changed(): void {
    this.#reporter.notify();
    for (const resolve of this.#waiters.splice(0)) resolve();
  }

  /** False when the agent is told to stop meanwhile. */
  async #pause(ms: number): Promise<boolean> {
    const { signal } = this.#stopping;
    if (signal.aborted) return false;
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', end);
        resolve(!signal.aborted);
      };
      const timer = setTimeout(end, ms);
      signal.addEventListener('abort', end, { once: true });
    });
  }
}

function isUp({ observation }: ProcessSupervisor): boolean {
  return observation !== null && !(observation.pid === null && (observation.status === 'stopped' || observation.status === 'failed'));
}
