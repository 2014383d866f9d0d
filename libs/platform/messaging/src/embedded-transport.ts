import { SubscriberAbsentError } from './errors.js';
import type { EventTransport, OutgoingEvent, ReceivedEvent, Subscription } from './event-transport.js';

interface Subscriber {
  readonly topics: Set<string>;
  readonly replicas: Subscription[];
  next: number;
}

/**
 * Hands events from the outboxes straight to the inboxes of services in the same process. It stores nothing: an event counts as sent when
 * every announced service has it in its inbox, so one that is not there (not started yet, already stopped) leaves events in the outbox.
 */
export class EmbeddedTransport implements EventTransport {
  readonly #subscribers = new Map<string, Subscriber>();
  readonly #inFlight = new Map<Subscription, Set<Promise<void>>>();
  #closed = false;

  announce(subscriber: { readonly service: string; readonly topics: readonly string[] }): void {
    const known = this.#subscribers.get(subscriber.service);
    if (known === undefined) {
      this.#subscribers.set(subscriber.service, { topics: new Set(subscriber.topics), replicas: [], next: 0 });
    } else {
      for (const topic of subscriber.topics) known.topics.add(topic);
    }
  }

  async send(events: readonly OutgoingEvent[]): Promise<void> {
    if (this.#closed) throw new Error('the transport is closed');
    const received = events.map((event): ReceivedEvent => ({ ...event, origin: 'embedded' }));
    const deliveries: { subscription: Subscription; batch: ReceivedEvent[] }[] = [];
    for (const [service, subscriber] of this.#subscribers) {
      const batch = received.filter((event) => subscriber.topics.has(event.topic));
      if (batch.length === 0) continue;
      // Replicas take turns. Which one stores an event does not matter, they share the inbox.
      const subscription = subscriber.replicas[subscriber.next % Math.max(subscriber.replicas.length, 1)];
      if (subscription === undefined) throw new SubscriberAbsentError(service);
      subscriber.next += 1;
      deliveries.push({ subscription, batch });
    }
    const results = await Promise.allSettled(deliveries.map(({ subscription, batch }) => this.#deliver(subscription, batch)));
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  subscribe(subscription: Subscription): Promise<{ close(): Promise<void> }> {
    this.announce(subscription);
    this.#subscribers.get(subscription.service)?.replicas.push(subscription);
    return Promise.resolve({
      close: async () => {
        const replicas = this.#subscribers.get(subscription.service)?.replicas ?? [];
        const index = replicas.indexOf(subscription);
        if (index >= 0) replicas.splice(index, 1);
        const deliveries = this.#inFlight.get(subscription);
        if (deliveries !== undefined) await Promise.allSettled(deliveries);
      },
    });
  }

  readiness(): Promise<{ ok: boolean; detail?: string }> {
    return Promise.resolve(this.#closed ? { ok: false, detail: 'closed' } : { ok: true });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled([...this.#inFlight.values()].flatMap((deliveries) => [...deliveries]));
  }

  async #deliver(subscription: Subscription, batch: readonly ReceivedEvent[]): Promise<void> {
    const delivery = subscription.receive(batch);
    const deliveries = this.#inFlight.get(subscription) ?? new Set();
    this.#inFlight.set(subscription, deliveries);
    deliveries.add(delivery);
    try {
      await delivery;
    } finally {
      deliveries.delete(delivery);
    }
  }
}
