import type { StopSignal } from './ending.js';

let pending: StopSignal | undefined;
let handler: ((signal: StopSignal) => void) | undefined;

/** Takes over SIGTERM, SIGINT and SIGHUP before anything else is loaded, so that a signal during the start is not lost. */
export function watchSignals(): void {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (handler === undefined) pending ??= signal;
      else handler(signal);
    });
  }
}

/** From now on signals go to `handle`; one that came earlier is delivered at once. */
export function onSignal(handle: (signal: StopSignal) => void): void {
  handler = handle;
  const early = pending;
  pending = undefined;
  if (early !== undefined) handle(early);
}
