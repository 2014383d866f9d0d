import { optionValue } from './arguments.js';
import type { ProcessIdentity, TableEntry } from './process-table.js';
import {
  StartError,
  type ProcessExit,
  type ProcessQuery,
  type ProcessRunner,
  type SignalOutcome,
  type StartSpec,
  type SupervisedProcess,
} from './process-runner.js';

/** How an imagined process behaves. */
export interface InMemoryBehaviour {
  /** It ends with this as soon as it starts. */
  readonly endsAtOnce?: ProcessExit;
  readonly ignoresSigterm?: boolean;
  /** The program does not exist. */
  readonly missing?: boolean;
}

interface ImaginedProcess {
  readonly identity: ProcessIdentity;
  readonly argv: readonly string[];
  readonly behaviour: InMemoryBehaviour;
  readonly exited: Promise<ProcessExit>;
  readonly end: (exit: ProcessExit) => void;
}

/**
 * A runner without an operating system, for tests of what is decided about processes. It keeps the same contract as the real one
 * (`process-runner.contract.ts`).
 */
export class InMemoryProcessRunner implements ProcessRunner {
  readonly #behave: (spec: Pick<StartSpec, 'program' | 'argv'>) => InMemoryBehaviour;
  readonly #live = new Map<number, ImaginedProcess>();
  #started = 0;
  /** Every signal that reached a process, in order. */
  readonly signals: { pid: number; signal: string }[] = [];
  /** Every command line that was started, in order. */
  readonly starts: (readonly string[])[] = [];

  constructor(behave: (spec: Pick<StartSpec, 'program' | 'argv'>) => InMemoryBehaviour = () => ({})) {
    this.#behave = behave;
  }

  async start(spec: StartSpec): Promise<SupervisedProcess> {
    const process = this.#begin(spec);
    return { identity: process.identity, adopted: false, exited: process.exited };
  }

  /** A process that somebody else started. */
  startByHand(program: string, argv: readonly string[]): ProcessIdentity {
    return this.#begin({ program, argv }).identity;
  }

  /** Ends a process from outside. */
  end(pid: number, exit: ProcessExit): void {
    this.#live.get(pid)?.end(exit);
  }

  async adopt(identity: ProcessIdentity): Promise<SupervisedProcess | null> {
    const process = this.#find(identity);
    // The kernel tells an exit code only to the parent.
    return process ? { identity, adopted: true, exited: process.exited.then(() => ({ code: null, signal: null })) } : null;
  }

  async find(query: ProcessQuery): Promise<TableEntry | null> {
    for (const process of this.#live.values()) {
      const matches =
        'dbPath' in query
          ? optionValue(process.argv, 'dbpath') === query.dbPath
          : optionValue(process.argv, 'configdb') !== undefined && optionValue(process.argv, 'port') === String(query.mongosPort);
      if (matches) return { ...process.identity, argv: ['mongod', ...process.argv], cwd: '/' };
    }
    return null;
  }

  async signal(identity: ProcessIdentity, signal: 'SIGTERM' | 'SIGKILL'): Promise<SignalOutcome> {
    const process = this.#find(identity);
    if (!process) return 'gone';
    this.signals.push({ pid: identity.pid, signal });
    if (signal === 'SIGKILL') process.end({ code: null, signal });
    else if (!process.behaviour.ignoresSigterm) process.end({ code: 0, signal: null });
    return 'sent';
  }

  async isAlive(identity: ProcessIdentity): Promise<boolean> {
    return this.#find(identity) !== undefined;
  }

  #find(identity: ProcessIdentity): ImaginedProcess | undefined {
    const process = this.#live.get(identity.pid);
    return process?.identity.startTime === identity.startTime ? process : undefined;
  }

  #begin(spec: Pick<StartSpec, 'program' | 'argv'>): ImaginedProcess {
    const behaviour = this.#behave(spec);
    if (behaviour.missing) throw new StartError(`${spec.program} cannot be started: it does not exist`);
    this.#started += 1;
    this.starts.push(spec.argv);
    const identity = { pid: 100 + this.#started, startTime: String(this.#started) };
    const { promise, resolve } = Promise.withResolvers<ProcessExit>();
    const end = (exit: ProcessExit) => {
      this.#live.delete(identity.pid);
      resolve(exit);
    };
    const process: ImaginedProcess = { identity, argv: spec.argv, behaviour, exited: promise, end };
    this.#live.set(identity.pid, process);
    if (behaviour.endsAtOnce) end(behaviour.endsAtOnce);
    return process;
  }
}
