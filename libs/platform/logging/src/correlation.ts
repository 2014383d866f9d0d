import { AsyncLocalStorage } from 'node:async_hooks';

/** Which request or chain of events the running code works for. */
export interface Correlation {
  readonly correlationId: string;
  /** The event that led to this work, when there was one. */
  readonly causationId?: string;
}

const storage = new AsyncLocalStorage<Correlation>();

/** Runs `fn`, and everything it starts, for this correlation: log lines and published events carry it. */
export function runWithCorrelation<T>(correlation: Correlation, fn: () => T): T {
  return storage.run(correlation, fn);
}

/** The correlation that the caller runs for, if any. */
export function currentCorrelation(): Correlation | undefined {
  return storage.getStore();
}
