/** Lets requests wait for something that concerns one id: a host's goal, a task's result. Holds no state but who waits. */
export class WakeUp {
  private readonly waiting = new Map<string, Set<() => void>>();

  /** Wakes everybody who waits for the id; with `''` everybody, because what was said meanwhile may have been lost. */
  wake(id: string): void {
    const sets = id === '' ? [...this.waiting.values()] : [this.waiting.get(id)];
    for (const set of sets) for (const wake of set ?? []) wake();
  }

  /** How many wait. */
  get size(): number {
    return [...this.waiting.values()].reduce((sum, set) => sum + set.size, 0);
  }

  /**
   * Looks until there is an answer, the time is over or the signal is aborted: at once, and after each wake-up. Registers before it looks, so that a
   * wake-up between looking and waiting is not lost. `undefined`: nothing came.
   */
  async until<T>(
    id: string,
    look: () => Promise<T | undefined>,
    o: { readonly timeoutMs: number; readonly signal: AbortSignal },
  ): Promise<T | undefined> {
    let woken = false;
    let resume: (() => void) | undefined;
    const wake = (): void => {
      woken = true;
      resume?.();
    };
    const set = this.waiting.get(id) ?? new Set();
    this.waiting.set(id, set);
    set.add(wake);
    o.signal.addEventListener('abort', wake);
    let over = false;
    const timer = setTimeout(() => {
      over = true;
      wake();
    }, o.timeoutMs);
    try {
      for (;;) {
        woken = false;
        const found = await look();
        if (found !== undefined) return found;
        if (over || o.signal.aborted) return undefined;
        if (!woken) await new Promise<void>((resolve) => (resume = resolve));
      }
    } finally {
      clearTimeout(timer);
      o.signal.removeEventListener('abort', wake);
      set.delete(wake);
      if (set.size === 0) this.waiting.delete(id);
    }
  }
}
