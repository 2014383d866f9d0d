/** What the stand-in can be told to do wrong. */
export type SimFault =
  /** Log SIGTERM and SIGINT and do nothing about them; also a `shutdown` command hangs. */
  | { kind: 'ignore-sigterm' }
  /** Accept connections and answer nothing. */
  | { kind: 'hang' }
  /** Wait before 'Waiting for connections' (at the next start: plant it with `persist`). */
  | { kind: 'start-slowly'; delayMs: number }
  /** A secondary applies nothing any more. */
  | { kind: 'fall-behind' }
  /** A command fails with this error; `times` limits how often. */
  | { kind: 'fail-command'; command: string; code: number; errmsg: string; times?: number }
  /** Every write to the dbPath fails; the next one ends the process as mongod ends: fassert, exit code 14. */
  | { kind: 'lose-disk' }
  /** End at once with SIGABRT and a backtrace in the log. */
  | { kind: 'crash' };

export type SimFaultKind = SimFault['kind'];

const KINDS: readonly string[] = ['ignore-sigterm', 'hang', 'start-slowly', 'fall-behind', 'fail-command', 'lose-disk', 'crash'];

/** A request on the control socket that makes no sense. */
export class SimFaultError extends Error {
  readonly code = 'SIM_FAULT';
}

/** Checks what came over the control socket or from a file. Throws {@link SimFaultError}. */
export function parseFault(value: unknown): SimFault {
  const fault = value as Partial<Record<string, unknown>> | null;
  if (typeof fault !== 'object' || fault === null || typeof fault['kind'] !== 'string' || !KINDS.includes(fault['kind'])) {
    throw new SimFaultError(`unknown fault; known are ${KINDS.join(', ')}`);
  }
  const number = (name: string): number => {
    const given = fault[name];
    if (typeof given !== 'number' || !Number.isFinite(given) || given < 0) throw new SimFaultError(`${name} must be a number of 0 or more`);
    return given;
  };
  if (fault['kind'] === 'start-slowly') return { kind: 'start-slowly', delayMs: number('delayMs') };
  if (fault['kind'] === 'fail-command') {
    const { command, errmsg } = fault;
    if (typeof command !== 'string' || typeof errmsg !== 'string') throw new SimFaultError('command and errmsg must be texts');
    return {
      kind: 'fail-command',
      command,
      code: number('code'),
      errmsg,
      ...(fault['times'] === undefined ? {} : { times: number('times') }),
    };
  }
  return { kind: fault['kind'] } as SimFault;
}

/** The faults of one process. At most one of each kind, but any number of failing commands. */
export class Faults {
  #faults: SimFault[] = [];
  #listeners = new Set<() => void>();

  list(): SimFault[] {
    return [...this.#faults];
  }

  has(kind: SimFaultKind): boolean {
    return this.#faults.some((fault) => fault.kind === kind);
  }

  get startDelayMs(): number {
    for (const fault of this.#faults) if (fault.kind === 'start-slowly') return fault.delayMs;
    return 0;
  }

  add(fault: SimFault): void {
    this.#faults = this.#faults.filter(
      (other) =>
        other.kind !== fault.kind || (other.kind === 'fail-command' && fault.kind === 'fail-command' && other.command !== fault.command),
    );
    this.#faults.push(fault);
    this.#tell();
  }

  /** Removes the faults of a kind, or all. */
  clear(kind?: SimFaultKind): void {
    this.#faults = kind === undefined ? [] : this.#faults.filter((fault) => fault.kind !== kind);
    this.#tell();
  }

  /** The error a command must fail with now, counting it. */
  failureOf(command: string): { code: number; errmsg: string } | undefined {
    for (const fault of this.#faults) {
      if (fault.kind !== 'fail-command' || fault.command !== command) continue;
      if (fault.times !== undefined) {
        fault.times -= 1;
        if (fault.times <= 0) this.#faults = this.#faults.filter((other) => other !== fault);
      }
      return { code: fault.code, errmsg: fault.errmsg };
    }
    return undefined;
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Resolves as soon as no fault of this kind is set, or when `gone` resolves. */
  whileSet(kind: SimFaultKind, gone: Promise<void>): Promise<void> {
    if (!this.has(kind)) return Promise.resolve();
    return new Promise((resolve) => {
      const look = (): void => {
        if (this.has(kind)) return;
        this.#listeners.delete(look);
        resolve();
      };
      this.#listeners.add(look);
      void gone.then(() => {
        this.#listeners.delete(look);
        resolve();
      });
    });
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
