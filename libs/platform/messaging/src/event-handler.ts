import type { EventDefinition, EventEnvelope } from '@atrest/contracts';
import type { Transaction } from '@atrest/platform-persistence';

/**
 * What a service does with one event type. `handle` writes through `tx` only: its writes and the mark that the event is handled are
 * committed together, so the effect is there exactly once however often the event is delivered. What it does elsewhere (mail, HTTP) may
 * happen again and belongs into a row that somebody works off. Throwing means: try again later.
 */
export interface EventHandler<D = unknown> {
  readonly definition: EventDefinition<D>;
  /** Says what it does, e.g. `remember-project`. Named in metrics, logs and dead letters. */
  readonly name: string;
  handle(event: EventEnvelope<D>, tx: Transaction): Promise<void>;
}

export function defineHandler<D>(
  definition: EventDefinition<D>,
  name: string,
  handle: (event: EventEnvelope<D>, tx: Transaction) => Promise<void>,
): EventHandler<D> {
  return { definition, name, handle };
}
