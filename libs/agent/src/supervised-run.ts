import type { ProcessAccessSecret, ProcessGoal } from '@atrest/contracts';
import { type ProcessExit, type RunLog, type SupervisedProcess } from '@atrest/mongod';
import { NOTHING_KNOWN, ProcessProbe, type ProbeView } from './process-probe.js';

export interface SupervisedRunOptions {
  readonly process: SupervisedProcess;
  readonly log: RunLog;
  /** Its readiness is told by its log; otherwise by its answers. */
  readonly logTellsReadiness: boolean;
  readonly goal: () => ProcessGoal;
  readonly access: () => ProcessAccessSecret | null;
  /** Of the goal it was started by; null when somebody else started it. */
  readonly argumentsVersion: number | null;
  /** Something happened that may change a decision. */
  readonly wake: () => void;
  readonly onError: (error: unknown) => void;
}

/** One run of one process, from its start (or from when it was found) to its exit. */
export class SupervisedRun {
  readonly #options: SupervisedRunOptions;
  readonly #probe: ProcessProbe;
  #probing = false;
  #exit: ProcessExit | null = null;
  #seenNews = 0;
  /** Set by whoever sends the signals. */
  stop: { readonly signalledAt: number; readonly killedAt: number | null; readonly wallTime: Date } | null = null;
  deniedAt: number | null = null;
  readyAt: number | null = null;
  administration: { busy: boolean; retryAt: number; failures: number; steppedUpAt: number | null; error: string | null } = {
    busy: false,
    retryAt: 0,
    failures: 0,
    steppedUpAt: null,
    error: null,
  };

  constructor(options: SupervisedRunOptions) {
    this.#options = options;
    this.#probe = new ProcessProbe({
      goal: options.goal,
      access: options.access,
      onChange: options.wake,
      onError: options.onError,
    });
    void options.process.exited.then((exit) => {
      this.#exit = exit;
      options.wake();
    });
  }

  get process(): SupervisedProcess {
    return this.#options.process;
  }

  get log(): RunLog {
    return this.#options.log;
  }

  /** How the process ended, or null while it runs. */
  get exit(): ProcessExit | null {
    return this.#exit;
  }

  get probe(): ProcessProbe {
    return this.#probe;
  }

  get view(): ProbeView {
    return this.#probing ? this.#probe.view : NOTHING_KNOWN;
  }

  get ready(): boolean {
    return this.readyAt !== null;
  }

  get argumentsVersion(): number | null {
    return this.#options.argumentsVersion;
  }

  /** Nothing is about to be learnt that would change what is reported: one that was found running has been asked how it is. */
  get isKnown(): boolean {
    return this.ready || this.stop !== null || !this.process.adopted || (this.#probe.asked && !this.view.answers);
  }

  /** Reads the log and draws its conclusions. */
  async look(now: number): Promise<void> {
    await this.log.read();
    const answers = !this.#options.logTellsReadiness || this.#options.process.adopted;
    if (this.readyAt === null && (this.log.ready || (answers && this.view.answers))) this.readyAt = now;
    if (!this.#probing && this.stop === null && (this.ready || answers)) {
      this.#probing = true;
      this.#probe.start();
    }
    if (this.log.news !== this.#seenNews) {
      this.#seenNews = this.log.news;
      if (this.#probing) this.#probe.wake();
    }
  }

  /** Ends the questions: a process that is told to stop is not kept busy. */
  async stopProbing(): Promise<void> {
    this.#probing = false;
    await this.#probe.stop();
  }

  async close(): Promise<void> {
    await this.stopProbing();
    await this.log.close();
  }
}
