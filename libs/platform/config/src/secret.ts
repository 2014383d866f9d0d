import { inspect } from 'node:util';

/** A value that must not be seen. It prints, serialises and inspects as `***`; only {@link reveal} gives it out, so that a review can find every use. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string {
    return this.#value;
  }

  toString(): '***' {
    return '***';
  }

  toJSON(): '***' {
    return '***';
  }

  [inspect.custom](): '***' {
    return '***';
  }
}
