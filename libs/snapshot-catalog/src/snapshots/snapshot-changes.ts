import type { EventPublisher } from '@atrest/platform-messaging';
import type { Transaction } from '@atrest/platform-persistence';
import type { SnapshotMetrics } from '../snapshot-metrics.js';
import type { SnapshotRepository } from './snapshot.repository.js';
import { toState, type Changed, type Snapshot } from './snapshot-state.js';

/** What became of a change. `not-possible`: something else happened to the snapshot before. */
export type ChangeOutcome = { readonly kind: 'changed'; readonly snapshot: Snapshot } | { readonly kind: 'not-possible' };

/** Writes a change of a snapshot and the event that tells of it, in the caller's transaction. */
export class SnapshotChanges {
  constructor(
    private readonly parts: {
      readonly repository: SnapshotRepository;
      readonly publisher: EventPublisher;
      readonly metrics: SnapshotMetrics;
    },
  ) {}

  async add(tx: Transaction, { snapshot, event }: Changed): Promise<'written' | 'known-already'> {
    const outcome = await this.parts.repository.insert(tx, snapshot);
    if (outcome === 'written') await this.parts.publisher.publish(tx, event, toState(snapshot));
    return outcome;
  }

  /** @param before locked by the caller */
  async apply(tx: Transaction, before: Snapshot, changed: Changed | null): Promise<ChangeOutcome> {
    if (changed === null) return { kind: 'not-possible' };
    const { snapshot, event } = changed;
    await this.write(tx, before, snapshot);
    await this.parts.publisher.publish(tx, event, toState(snapshot));
    if (before.status !== snapshot.status) this.parts.metrics.became(snapshot);
    return { kind: 'changed', snapshot };
  }

  /** For what nobody outside of this service has to know. */
  async quietly(tx: Transaction, before: Snapshot, change: Partial<Snapshot>): Promise<Snapshot> {
    const after = { ...before, ...change, revision: before.revision + 1 };
    await this.write(tx, before, after);
    return after;
  }

  private async write(tx: Transaction, before: Snapshot, after: Snapshot): Promise<void> {
    const outcome = await this.parts.repository.write(tx, before, after);
    if (outcome !== 'written') throw new Error(`Snapshot ${before.id} was locked and could not be written: ${outcome}.`);
  }
}
