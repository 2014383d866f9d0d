import type { BackupProgress, OplogTime } from '@atrest/contracts';
import type { Clock } from '@atrest/platform-time';

/** The rate is of the last seconds: long enough to be calm, short enough to tell what is going on now. */
const WINDOW_MS = 10_000;
/** Below this nothing is said of a rate: two readings a moment apart tell none. */
const LEAST_MS = 1_000;
/** Files of a few bytes are copied by the thousand in a second; so many readings say no more. */
const READING_MS = 250;

type Counts = Pick<BackupProgress, 'files' | 'filesTotal' | 'bytes' | 'bytesTotal' | 'storedBytes'>;

const NOTHING: Counts = { files: 0, filesTotal: 0, bytes: 0, bytesTotal: 0, storedBytes: 0 };

/** How far one piece of work is, and how fast. */
export class ProgressMeter {
  readonly #clock: Clock;
  readonly #ticks: () => number;
  #phase: BackupProgress['phase'] = 'preparing';
  #oplogEnd: OplogTime | null = null;
  #counts = NOTHING;
  #readings: { readonly at: number; readonly bytes: number }[] = [];

  constructor(clock: Clock, ticks: () => number = () => performance.now()) {
    this.#clock = clock;
    this.#ticks = ticks;
  }

  enter(phase: BackupProgress['phase']): void {
    this.#phase = phase;
    this.#oplogEnd = null;
    this.#readings = [];
  }

  /** It waits, and is held as it is. @param oplogEnd how far its oplog reaches */
  hold(oplogEnd: OplogTime): void {
    this.enter('holding');
    this.#oplogEnd = oplogEnd;
  }

  count(counts: Counts): void {
    this.#counts = counts;
    const at = this.#ticks();
    if (at - (this.#readings.at(-1)?.at ?? -Infinity) < READING_MS) return;
    this.#readings.push({ at, bytes: counts.bytes });
    // One older than the window stays: the rate is over the whole of it.
    while (this.#readings.length > 2 && this.#readings[1]!.at <= at - WINDOW_MS) this.#readings.shift();
  }

  get progress(): BackupProgress {
    const bytesPerSecond = this.#rate();
    const left = this.#counts.bytesTotal - this.#counts.bytes;
    const secondsLeft = bytesPerSecond === null || bytesPerSecond === 0 ? null : Math.ceil(left / bytesPerSecond);
    const held = this.#oplogEnd === null ? {} : { oplogEnd: this.#oplogEnd };
    return { phase: this.#phase, ...held, ...this.#counts, bytesPerSecond, secondsLeft, at: this.#clock.now().toISOString() };
  }

  #rate(): number | null {
    const [first] = this.#readings;
    if (this.#phase !== 'copying' || first === undefined) return null;
    const elapsed = this.#ticks() - first.at;
    return elapsed < LEAST_MS ? null : Math.round(((this.#counts.bytes - first.bytes) / elapsed) * 1_000);
  }
}
