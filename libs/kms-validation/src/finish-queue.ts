import type { ServiceDatabase } from '@atrest/platform-persistence';
import type { CheckHistory, NewSample } from './check-history.js';
import type { CheckedKeyRepository, Finish } from './checked-key.repository.js';

/** A check that changed no configuration: what it leaves on its key, and in the history where an entry is due. */
export interface UneventfulCheck {
  readonly finish: Finish;
  readonly sample: NewSample | null;
}

export interface FinishQueueOptions {
  readonly database: ServiceDatabase;
  readonly keys: CheckedKeyRepository;
  readonly history: CheckHistory;
}

interface Waiting extends UneventfulCheck {
  readonly resolve: (outcome: 'finished' | 'lease-lost') => void;
  readonly reject: (error: unknown) => void;
}

/** Rows of one statement at most: more would not make a row cheaper, and others wait for its locks. */
const MOST_AT_ONCE = 500;

/**
 * Writes the ordinary check, after which all is as it was. While one transaction is under way what arrives waits for the next, so that under load
 * many share a commit, and a single one waits for nothing.
 */
export class FinishQueue {
  private waiting: Waiting[] = [];
  private writing = false;

  constructor(private readonly options: FinishQueueOptions) {}

  /** Resolves when it is committed; `lease-lost` when somebody else has taken over and nothing was written. */
  add(check: UneventfulCheck): Promise<'finished' | 'lease-lost'> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ ...check, resolve, reject });
      if (!this.writing) void this.writeAll();
    });
  }

  private async writeAll(): Promise<void> {
    this.writing = true;
    // Answers that arrived together are handled together: theirs is one transaction.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.waiting.length > 0) {
      const batch = this.waiting.splice(0, MOST_AT_ONCE);
      const wrote = await this.tryWrite(batch);
      // What PostgreSQL refuses of one must not keep it from storing the others.
      if (!wrote) for (const each of batch) await this.tryWrite([each]);
    }
    this.writing = false;
  }

  /** False when it failed and nobody was told. */
  private async tryWrite(batch: readonly Waiting[]): Promise<boolean> {
    const { database, keys, history } = this.options;
    try {
      const finished = await database.transaction(async (tx) => {
        const ids = await keys.finishAll(
          tx,
          batch.map(({ finish }) => finish),
        );
        const samples = batch.flatMap(({ finish, sample }) => (sample !== null && ids.has(finish.id) ? [sample] : []));
        if (samples.length > 0) await history.sample(tx, samples);
        return ids;
      });
      for (const { finish, resolve } of batch) resolve(finished.has(finish.id) ? 'finished' : 'lease-lost');
      return true;
    } catch (error) {
      if (batch.length > 1) return false;
      for (const { reject } of batch) reject(error);
      return true;
    }
  }
}
