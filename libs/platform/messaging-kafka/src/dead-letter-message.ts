import type { IHeaders, Message } from 'kafkajs';
import { ATTRIBUTES } from './cloud-events.js';

/** Below what brokers take (1 MiB), headers included: a dead letter that the broker refuses would hold up the outbox for good. Bytes. */
const VALUE_MAX = 700_000;
const HEADER_MAX = 1_000;

/**
 * A parked event as a Kafka message, as near to what arrived as possible. It may be anything, so nothing about it is taken for granted. What
 * is too large is cut and says so; the service's own dead letters have the whole.
 */
export function toDeadLetterMessage(parked: unknown, reasons: Readonly<Record<string, string>>): Message {
  const read = typeof parked === 'object' && parked !== null ? (parked as Record<string, unknown>) : { data: parked };
  const headers: IHeaders = {};
  for (const [name, value] of Object.entries(reasons)) headers[name] = value.slice(0, HEADER_MAX);
  for (const attribute of ATTRIBUTES) {
    const value = read[attribute];
    if (typeof value === 'string') headers[`ce_${attribute}`] = value.slice(0, HEADER_MAX);
  }
  const contentType = read['datacontenttype'];
  if (typeof contentType === 'string') headers['content-type'] = contentType.slice(0, HEADER_MAX);
  const text = JSON.stringify(read['data']) ?? null;
  const cut = text !== null && Buffer.byteLength(text) > VALUE_MAX;
  if (cut) headers['x-atrest-dlq-cut'] = 'true';
  const key = typeof read['subject'] === 'string' ? read['subject'].slice(0, HEADER_MAX) : null;
  return { key, value: cut ? null : text, headers };
}
