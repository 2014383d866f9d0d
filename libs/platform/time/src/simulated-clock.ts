import type { Clock } from './clock.js';

/** A clock that stands still until it is told otherwise. It may be set back, as a machine's clock may. */
export class SimulatedClock implements Clock {
  #now: number;

  constructor(start: Date) {
    this.#now = validTime(start);
  }

  now(): Date {
    return new Date(this.#now);
  }

  /** Moves the clock by `ms` milliseconds; a negative number moves it back. */
  advance(ms: number): void {
    this.#now = validTime(new Date(this.#now + ms));
  }

  set(date: Date): void {
    this.#now = validTime(date);
  }
}

function validTime(date: Date): number {
  const time = date.getTime();
  if (Number.isNaN(time)) throw new RangeError('A simulated clock cannot be set to an invalid date.');
  return time;
}
