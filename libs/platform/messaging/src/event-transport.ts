import type { EventEnvelope } from '@atrest/contracts';

/** An event on its way out. */
export interface OutgoingEvent {
  readonly topic: string;
  /** Of a parked event: whatever arrived, which need not be an envelope. */
  readonly envelope: EventEnvelope;
  /** Only parked events have some ({@link EventTransport.deadLetterTopics}): why, where and by whom they were parked. */
  readonly headers?: Readonly<Record<string, string>> | null;
}

/** An event as it arrived. Nobody has looked at it yet: the envelope may be anything. */
export interface ReceivedEvent {
  readonly topic: string;
  readonly envelope: unknown;
  /** Where it was read, for a person who looks for it later, e.g. `embedded` or `atrest.projects[3]@1234`. */
  readonly origin: string;
}

/** What a service wants to receive. Replicas of one service share it: each event reaches one of them. */
export interface Subscription {
  readonly service: string;
  readonly topics: readonly string[];
  /** Resolves when the events are stored; rejects when they are not, and then they come again. One call at a time per subject. */
  receive(batch: readonly ReceivedEvent[]): Promise<void>;
}

/**
 * Carries events from outboxes to inboxes. A transport keeps the order of each subject, delivers at least once, and never counts an event as
 * sent before it is safe for every service that was announced. `event-transport.contract.ts` is what every transport must pass.
 */
export interface EventTransport {
  /** True: parked events are also sent to `<topic>.dlq`, for whoever watches those topics. False where nobody could subscribe to them. */
  readonly deadLetterTopics?: boolean;
  /**
   * Says that this service will subscribe, before anybody sends: from now on no event of these topics counts as sent before this service
   * has it. Called when a service is put together.
   */
  announce(subscriber: { readonly service: string; readonly topics: readonly string[] }): void;
  /** Resolves when all events are safe, rejects when that is unknown for at least one of them; then the caller sends all of them again, in order. */
  send(events: readonly OutgoingEvent[]): Promise<void>;
  subscribe(subscription: Subscription): Promise<{ close(): Promise<void> }>;
  readiness(): Promise<{ ok: boolean; detail?: string }>;
  close(): Promise<void>;
}
