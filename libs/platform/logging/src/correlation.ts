import { AsyncLocalStorage } from 'node:async_hooks';

/** Which request or chain of events the running code works for. */
export interface Correlation {
  readonly correlationId: string;
  /** The event that led to this work, when there was one. */
  readonly causationId?: string;
  /** W3C trace context in which the caller works; handed on as it came. */
  readonly traceparent?: string;
}

/** Version 00 of W3C Trace Context. What does not look like it is no trace: strangers send this header. */
const TRACEPARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** For a correlation, from a `traceparent` header; nothing when there is none or it is not valid. */
export const traceOf = (header: unknown): Pick<Correlation, 'traceparent'> =>
  typeof header === 'string' && TRACEPARENT.test(header) ? { traceparent: header } : {};

const storage = new AsyncLocalStorage<Correlation>();

/** Runs `fn`, and everything it starts, for this correlation: log lines and published events carry it. */
export function runWithCorrelation<T>(correlation: Correlation, fn: () => T): T {
  return storage.run(correlation, fn);
}

/** The correlation that the caller runs for, if any. */
export function currentCorrelation(): Correlation | undefined {
  return storage.getStore();
}
