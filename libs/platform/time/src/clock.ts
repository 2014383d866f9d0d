/** Where a decision gets the time from. Decisions never read the machine's clock themselves, so that a test can hold years in a second. */
export interface Clock {
  now(): Date;
}

/** The machine's clock. */
export const systemClock: Clock = { now: () => new Date() };
