import type { ObservationReport } from '@atrest/contracts';
import { backoffMs } from '@atrest/platform-time';

export interface ReporterOptions {
  /** What is to be said now; null while nothing can be said. */
  readonly compose: () => ObservationReport | null;
  readonly send: (report: ObservationReport, signal: AbortSignal) => Promise<void>;
  /** Told of each report that did not arrive. */
  readonly onError: (error: unknown) => void;
  /** Without a change a report goes out this often: six make the 30 s after which a host counts as silent. */
  readonly heartbeatMs: number;
  /** Changes within this time travel together: three members of a set stop within milliseconds of each other. */
  readonly coalesceMs: number;
}

/** Reports at once what changed, and regularly what did not. One report at a time, always the latest; one that fails is followed by a fresh one. */
export class Reporter {
  readonly #options: ReporterOptions;
  readonly #stopping = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #dueAt = Infinity;
  #sending = false;
  #changed = false;
  #failures = 0;

  constructor(options: ReporterOptions) {
    this.#options = options;
  }

  start(): void {
    this.#plan(0);
  }

  /** Something changed. */
  notify(): void {
    this.#changed = true;
    // After a failure the next attempt keeps its backoff: changes must not turn into a storm on a control plane that is struggling.
    if (!this.#sending && this.#failures === 0) this.#plan(this.#options.coalesceMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#stopping.abort();
  }

  #plan(inMs: number): void {
    if (this.#stopping.signal.aborted) return;
    const dueAt = performance.now() + inMs;
    if (dueAt >= this.#dueAt) return; // an earlier report is planned already
    clearTimeout(this.#timer);
    this.#dueAt = dueAt;
    this.#timer = setTimeout(() => void this.#send(), inMs);
  }

  async #send(): Promise<void> {
    this.#dueAt = Infinity;
    this.#sending = true;
    this.#changed = false;
    try {
      const report = this.#options.compose();
      if (report) await this.#options.send(report, this.#stopping.signal);
      this.#failures = 0;
    } catch (error) {
      if (!this.#stopping.signal.aborted) this.#options.onError(error);
      this.#failures += 1;
    }
    this.#sending = false;
    if (this.#failures > 0) this.#plan(backoffMs(this.#failures, { baseMs: 500, maxMs: this.#options.heartbeatMs }));
    else this.#plan(this.#changed ? this.#options.coalesceMs : this.#options.heartbeatMs);
  }
}
