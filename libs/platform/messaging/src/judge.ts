import { EventEnvelopeSchema, type EventDefinition, type EventEnvelope } from '@atrest/contracts';
import type { EventHandler } from './event-handler.js';

/** Why an event was parked. */
export const PARK_REASONS = ['INVALID_ENVELOPE', 'UNKNOWN_TYPE', 'INVALID_DATA', 'REFUSED', 'HANDLER_FAILED', 'PROCESS_ENDED'] as const;
export type ParkReason = (typeof PARK_REASONS)[number];

/** What is to be done with an event. */
export type Verdict =
  | { readonly kind: 'handle'; readonly handler: EventHandler; readonly event: EventEnvelope }
  | { readonly kind: 'ignore' }
  | { readonly kind: 'park'; readonly reason: ParkReason; readonly detail: string };

/** The types a service knows. */
export interface Routes {
  /** By event type. */
  readonly handlers: ReadonlyMap<string, EventHandler>;
  /** By topic: who gets what no handler is for. */
  readonly fallbacks?: ReadonlyMap<string, EventHandler>;
  /** Types that the service skips on purpose. */
  readonly ignores: ReadonlySet<string>;
}

/** Paths and rules of a failed check, never values: they are logged and shown. */
export function problemsOf(error: {
  readonly issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[];
}): string[] {
  return error.issues.slice(0, 10).map((issue) => `${issue.path.map(String).join('.') || '(root)'}: ${issue.message}`);
}

/** Whether this is an envelope at all. */
export function readEnvelope(value: unknown): { readonly envelope: EventEnvelope } | { readonly problems: string[] } {
  const parsed = EventEnvelopeSchema.safeParse(value);
  if (!parsed.success) return { problems: problemsOf(parsed.error) };
  // PostgreSQL's text has no place for it, and no id of ours contains it.
  if (parsed.data.subject.includes('\0')) return { problems: ['subject: contains a null character'] };
  return { envelope: parsed.data as EventEnvelope };
}

/** Pure: the same event and the same routes give the same verdict. */
export function judge(envelope: EventEnvelope, topic: string, routes: Routes): Verdict {
  if (routes.ignores.has(envelope.type)) return { kind: 'ignore' };
  const known = routes.handlers.get(envelope.type);
  const fits = known?.definition.topic.name === topic;
  const handler = fits ? known : routes.fallbacks?.get(topic);
  if (handler === undefined) {
    const detail = known
      ? `${envelope.type} belongs to ${known.definition.topic.name}, not to ${topic}`
      : `no handler for ${envelope.type}`;
    return { kind: 'park', reason: 'UNKNOWN_TYPE', detail };
  }
  const definition: EventDefinition = handler.definition;
  const parsed = definition.schema.safeParse(envelope.data);
  if (!parsed.success) return { kind: 'park', reason: 'INVALID_DATA', detail: problemsOf(parsed.error).join('; ') };
  return { kind: 'handle', handler, event: { ...envelope, data: parsed.data } };
}
