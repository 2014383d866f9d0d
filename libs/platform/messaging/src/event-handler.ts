import type { EventDefinition, EventEnvelope } from '@atrest/contracts';
import type { Transaction } from '@atrest/platform-persistence';

/**
 * What a handler returns when the event is not acceptable and will not become so by trying again. Its writes (an answer, say) are committed
 * and the event is kept among the dead letters, together.
 */
export class Refusal {
  /** @param detail why, for a person; never values that could be secret */
  constructor(readonly detail: string) {}
}

/**
 * What a service does with one event type. `handle` writes through `tx` only: its writes and the mark that the event is handled are
 * committed together, so the effect is there exactly once however often the event is delivered. What it does elsewhere (mail, HTTP) may
 * happen again and belongs into a row that somebody works off. Throwing means: try again later. Returning a {@link Refusal} means: park it.
 */
export interface EventHandler<D = unknown> {
  readonly definition: EventDefinition<D>;
  /** Says what it does, e.g. `remember-project`. Named in metrics, logs and dead letters. */
  readonly name: string;
  /**
   * True: it also gets the events of its topic whose type the service does not know, instead of their being parked unseen. For topics that
   * strangers write to and expect an answer from. `definition.schema` is applied to those as well, so it should admit anything.
   */
  readonly alsoUnknownTypes?: boolean;
  /**
   * True: all that it does in the database is one statement, which it sends before it awaits anything (the upsert of a projection that
   * compares revisions, for instance). Such handlers share a transaction without waiting for each other's answers: the effect is that of
   * one after another, at a fraction of the round trips. Wrong for a handler that reads before it writes.
   */
  readonly oneStatement?: boolean;
  handle(event: EventEnvelope<D>, tx: Transaction): Promise<void | Refusal>;
}

export function defineHandler<D>(
  definition: EventDefinition<D>,
  name: string,
  handle: (event: EventEnvelope<D>, tx: Transaction) => Promise<void | Refusal>,
  o: Pick<EventHandler, 'alsoUnknownTypes' | 'oneStatement'> = {},
): EventHandler<D> {
  return { definition, name, handle, ...o };
}
