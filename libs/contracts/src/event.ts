import { z } from 'zod';
import { TimestampSchema } from './ids.js';
import type { Topic } from './topics.js';

/**
 * A CloudEvents 1.0 envelope. `subject` is the aggregate's id and the Kafka message key: events of one subject keep their order.
 * Every event carries the aggregate's full current state (DESIGN §4), so the latest one per subject rebuilds a projection.
 */
export interface EventEnvelope<Data = unknown> {
  readonly specversion: '1.0';
  readonly id: string;
  /** `/atrest/<service>`; of a command whatever its sender calls itself. */
  readonly source: string;
  readonly type: string;
  readonly subject: string;
  readonly time: string;
  readonly datacontenttype: 'application/json';
  /** The request or event chain this belongs to. */
  readonly correlationid: string;
  /** The event that led to this one, when there was one. */
  readonly causationid?: string;
  /** W3C trace context. */
  readonly traceparent?: string;
  readonly data: Data;
}

export const EventEnvelopeSchema = z.object({
  specversion: z.literal('1.0'),
  id: z.uuid(),
  // `/atrest/<service>` of what Atrest publishes. Commands come from others, whose names are theirs; whoever writes to a topic can write any.
  source: z.string().min(1).max(1024),
  type: z.string().regex(/^io\.atrest\.[a-z-]+\.[a-z-]+\.v\d+$/),
  // It is a Kafka key and a column of an index, which refuses what is longer than some 2,700 bytes.
  subject: z.string().min(1).max(512),
  time: TimestampSchema,
  datacontenttype: z.literal('application/json'),
  correlationid: z.string().min(1).max(256),
  causationid: z.string().max(256).optional(),
  traceparent: z.string().optional(),
  data: z.unknown(),
});

/** What is known about an event type before any event exists. */
export interface EventDefinition<Data = unknown> {
  /** `io.atrest.<subject>.<past-tense>.v<n>` */
  readonly type: string;
  readonly topic: Topic;
  readonly schema: z.ZodType<Data>;
  /** One sentence for the generated reference. */
  readonly description: string;
  /** The id of the aggregate whose order matters. */
  subjectOf(data: Data): string;
}

export function defineEvent<Data>(definition: EventDefinition<Data>): EventDefinition<Data> {
  return definition;
}

/** The data of an event definition. */
export type DataOf<Definition> = Definition extends EventDefinition<infer Data> ? Data : never;
