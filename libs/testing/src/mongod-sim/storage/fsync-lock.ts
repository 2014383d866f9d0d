/** The lock of `fsync {lock: true}`: counted, and nobody's: it stays when the connection that took it is gone. */
export class FsyncLock {
  #count = 0;
  readonly #listeners = new Set<() => void>();

  get locked(): boolean {
    return this.#count > 0;
  }

  /** Takes it once more; answers how often it is held now. */
  lock(): number {
    this.#count += 1;
    this.#tell();
    return this.#count;
  }

  /** Gives it back once; answers how often it is still held, or undefined when it was not held at all. */
  unlock(): number | undefined {
    if (this.#count === 0) return undefined;
    this.#count -= 1;
    this.#tell();
    return this.#count;
  }

  /** Resolves to true as soon as nobody holds it, to false when that takes longer than `ms`. */
  released(ms?: number): Promise<boolean> {
    if (!this.locked) return Promise.resolve(true);
    return new Promise((resolve) => {
      let timer: NodeJS.Timeout | undefined;
      const finish = (released: boolean): void => {
        clearTimeout(timer);
        this.#listeners.delete(look);
        resolve(released);
      };
      const look = (): void => {
        if (!this.locked) finish(true);
      };
      if (ms !== undefined) timer = setTimeout(() => finish(false), ms);
      this.#listeners.add(look);
    });
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
