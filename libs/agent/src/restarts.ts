import { backoffMs } from '@atrest/platform-time';

export interface RestartSettings {
  /** Wait before the first new start after a failure; doubled up to {@link restartMaxMs}. */
  readonly restartBaseMs: number;
  readonly restartMaxMs: number;
  /** A process that was ready for this long did not fail to start: its next failure counts as the first. */
  readonly stableAfterMs: number;
}

/** A failure, as far as the wait for the next start depends on it. */
export interface Failure {
  /** How long the process had been ready; null when it never was. */
  readonly readyForMs: number | null;
  /** The server could not use its master key. */
  readonly endedForKey: boolean;
}

/**
 * The first wait after an end for the key. A definitive verdict takes 20 s of confirmations at most by default: with this the order to stop comes first, and a
 * process whose key is gone is not started in vain meanwhile.
 */
const KEY_RESTART_BASE_MS = 60_000;

/** When a process that failed is tried again: later after each failure, so that no host is kept busy with starts that lead nowhere. */
export class Restarts {
  readonly #settings: RestartSettings;
  readonly #random: () => number;
  #failures = 0;
  #retryAt: number | null = null;

  constructor(settings: RestartSettings, random: () => number = Math.random) {
    this.#settings = settings;
    this.#random = random;
  }

  /** Not before this time again; null: at once. */
  get retryAt(): number | null {
    return this.#retryAt;
  }

  failed(failure: Failure, now: number): void {
    const { restartBaseMs, restartMaxMs, stableAfterMs } = this.#settings;
    // The server looks for its key every 15 minutes only: having run for so long says nothing about a key.
    if (failure.readyForMs !== null && failure.readyForMs >= stableAfterMs && !failure.endedForKey) this.#failures = 0;
    this.#failures += 1;
    const baseMs = failure.endedForKey ? Math.min(Math.max(restartBaseMs, KEY_RESTART_BASE_MS), restartMaxMs) : restartBaseMs;
    this.#retryAt = now + backoffMs(this.#failures, { baseMs, maxMs: restartMaxMs, random: this.#random });
  }

  /** It ended as ordered, or what failed before may work now. */
  forget(): void {
    this.#failures = 0;
    this.#retryAt = null;
  }
}
