/** A server parameter that neither mongod 4.4 nor this stand-in knows: exit code 2. */
export class ParameterError extends Error {
  readonly code = 'PARAMETER';
}

/**
 * Parameters a supervisor may give. Most change nothing here, but their values are kept for `getParameter`.
 * `simFast` and `simControl` exist only in this stand-in.
 */
const KNOWN: Record<string, string | number | boolean> = {
  disableLogicalSessionCacheRefresh: false,
  ttlMonitorEnabled: true,
  recoverFromOplogAsStandalone: false,
  takeUnstableCheckpointOnShutdown: false,
  skipShardingConfigurationChecks: false,
  enableLocalhostAuthBypass: true,
  diagnosticDataCollectionEnabled: true,
  enableTestCommands: false,
  logLevel: 0,
  quiet: false,
  transactionLifetimeLimitSeconds: 60,
  cursorTimeoutMillis: 600000,
  notablescan: false,
  authenticationMechanisms: 'SCRAM-SHA-1,SCRAM-SHA-256',
  simFast: false,
  simControl: '',
};

/** The server parameters of one process. */
export class Parameters {
  readonly #values = new Map<string, string | number | boolean>(Object.entries(KNOWN));

  constructor(given: Record<string, string>) {
    for (const [name, text] of Object.entries(given)) this.set(name, text);
  }

  /** Sets a parameter from text or from a command; returns the value it had. Throws {@link ParameterError}. */
  set(name: string, value: string | number | boolean): string | number | boolean {
    const before = this.#values.get(name);
    if (before === undefined) throw new ParameterError(`Unknown --setParameter '${name}'`);
    if (typeof before === 'boolean') this.#values.set(name, value === true || value === 'true' || value === '1' || value === 1);
    else if (typeof before === 'number') {
      const number = Number(value);
      if (!Number.isFinite(number)) throw new ParameterError(`Bad value for parameter "${name}"`);
      this.#values.set(name, number);
    } else this.#values.set(name, String(value));
    return before;
  }

  get(name: string): string | number | boolean | undefined {
    return this.#values.get(name);
  }

  all(): Record<string, string | number | boolean> {
    return Object.fromEntries(this.#values);
  }
}

/** Every duration of the server that a test may want shorter, in milliseconds. */
export interface Timings {
  heartbeatMs: number;
  heartbeatTimeoutMs: number;
  /** Multiplies `electionTimeoutMillis` of the replica set configuration. */
  electionScale: number;
  /** How long a stopping primary waits for an electable secondary (recorded: 10 s, log id 4784900). */
  shutdownWaitMs: number;
  /** How long a replica set member takes to stop its threads (recorded: 0.4 to 1.2 s in all). */
  memberStopMs: number;
  periodicNoopMs: number;
  /** How long a shard that cannot reach its config servers takes to stop (recorded: 21 to 23 s). */
  orphanShardStopMs: number;
  configServerRetryMs: number;
}

const RECORDED: Timings = {
  heartbeatMs: 2000,
  heartbeatTimeoutMs: 10_000,
  electionScale: 1,
  shutdownWaitMs: 10_000,
  memberStopMs: 600,
  periodicNoopMs: 10_000,
  orphanShardStopMs: 21_000,
  configServerRetryMs: 500,
};

/**
 * The recorded durations, or with `simFast` shorter ones: long enough that a loaded machine does not hold a slow member for a lost one,
 * and that a driver which connected just before a member stops has begun to watch it (its first look after 500 ms).
 */
export function timingsFor(fast: boolean): Timings {
  if (!fast) return RECORDED;
  return {
    heartbeatMs: 200,
    heartbeatTimeoutMs: 2000,
    electionScale: 0.2,
    shutdownWaitMs: 2000,
    memberStopMs: 600,
    periodicNoopMs: 1000,
    orphanShardStopMs: 2100,
    configServerRetryMs: 100,
  };
}
