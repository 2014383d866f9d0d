import type { EventEnvelope } from '@atrest/contracts';
import type { IHeaders, KafkaMessage, Message } from 'kafkajs';

/** CloudEvents attributes that travel as `ce_*` headers (Kafka protocol binding, binary mode). */
export const ATTRIBUTES = ['specversion', 'id', 'source', 'type', 'subject', 'time', 'correlationid', 'causationid'] as const;

/** An envelope as a Kafka message: attributes in headers, data as the JSON body, the subject as key so that its order is kept. */
export function toKafkaMessage(envelope: EventEnvelope): Message {
  const headers: IHeaders = { 'content-type': envelope.datacontenttype, ce_dataschema: schemaOf(envelope.type) };
  for (const attribute of ATTRIBUTES) {
    const value = envelope[attribute];
    if (value !== undefined) headers[`ce_${attribute}`] = value;
  }
  if (envelope.traceparent !== undefined) headers['traceparent'] = envelope.traceparent;
  return { key: envelope.subject, value: JSON.stringify(envelope.data), headers };
}

/**
 * The envelope a message carries. Nothing is checked here: a broken message becomes an envelope that the inbox refuses and parks with the
 * reason, so that it is never lost and never blocks its partition.
 */
export function fromKafkaMessage(message: KafkaMessage): unknown {
  const envelope: Record<string, unknown> = {};
  for (const attribute of ATTRIBUTES) {
    const value = header(message.headers, `ce_${attribute}`);
    if (value !== undefined) envelope[attribute] = value;
  }
  const traceparent = header(message.headers, 'traceparent');
  if (traceparent !== undefined) envelope['traceparent'] = traceparent;
  envelope['datacontenttype'] = header(message.headers, 'content-type');
  envelope['data'] = parse(message.value);
  return envelope;
}

/** The schema version is the event type's own version: `…/<subject>.<past-tense>.v1.json`. */
const schemaOf = (type: string): string => `schemas/${type.replace(/^io\.atrest\./, '')}.json`;

function header(headers: IHeaders | undefined, name: string): string | undefined {
  const value = headers?.[name];
  const first = Array.isArray(value) ? value[0] : value;
  return first?.toString();
}

function parse(value: Buffer | null): unknown {
  const text = value?.toString('utf8');
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    // Kept as text, too: writing it again, here or in PostgreSQL, would need more stack than there is, and hold up its partition for good.
    return isShallow(value) ? value : text;
  } catch {
    // Kept as text: the inbox parks it with what was received.
    return text;
  }
}

/** Our deepest event has six levels. */
const MAX_DEPTH = 100;

function isShallow(value: unknown): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; depth <= MAX_DEPTH; depth += 1) {
    level = level.flatMap((item) => (typeof item === 'object' && item !== null ? Object.values(item) : []));
    if (level.length === 0) return true;
  }
  return false;
}
