export interface BackgroundLoopOptions {
  /** Named in errors and logs. */
  readonly name: string;
  /** The longest time between two runs in which nobody calls {@link BackgroundLoop.wake}. */
  readonly intervalMs: number;
  /** One round of work. `'again'` means that more work waits. The signal is aborted by {@link BackgroundLoop.stop}. */
  readonly run: (signal: AbortSignal) => Promise<void | 'again'>;
  /** Told of every run that throws. A throwing run is repeated after the interval (or when woken), so that a broken dependency is not hammered. */
  readonly onError: (error: unknown) => void;
}

/**
 * Work that repeats until it is stopped: at once, then whenever it is woken, and at the latest after the interval. There are never two
 * runs at a time. A wake during a run leads to one more run after it, so no wake is lost.
 */
export class BackgroundLoop {
  readonly name: string;
  readonly #options: BackgroundLoopOptions;
  readonly #stopping = new AbortController();
  #woken = false;
  #endWait: (() => void) | undefined;
  #finished: Promise<void> | undefined;

  constructor(options: BackgroundLoopOptions) {
    this.name = options.name;
    this.#options = options;
  }

  /** Begins the first run. A second call, or a call after {@link stop}, changes nothing. */
  start(): void {
    if (this.#stopping.signal.aborted) return;
    this.#finished ??= this.#repeat();
  }

  /** There is work: run now, or once more after the present run. */
  wake(): void {
    this.#woken = true;
    this.#endWait?.();
  }

  /** Ends the loop; resolves when the present run is over. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error(`${this.name} is stopping`));
    this.#endWait?.();
    await this.#finished;
  }

  async #repeat(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      this.#woken = false;
      let outcome: void | 'again' = undefined;
      try {
        outcome = await this.#options.run(signal);
      } catch (error) {
        // What a run throws because it was told to stop is no failure.
        if (!signal.aborted) this.#options.onError(error);
      }
      // Yield, so that a loop that always has more work cannot keep the process from anything else.
      if (outcome === 'again') await new Promise<void>((resolve) => setImmediate(resolve));
      else if (!this.#woken && !signal.aborted) await this.#wait();
    }
  }

  #wait(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#endWait?.(), this.#options.intervalMs);
      this.#endWait = () => {
        clearTimeout(timer);
        this.#endWait = undefined;
        resolve();
      };
    });
  }
}
