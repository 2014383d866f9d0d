import type { EventEnvelope } from '@atrest/contracts';
import type { IHeaders, KafkaMessage } from 'kafkajs';
import { describe, expect, test } from 'vitest';
import { fromKafkaMessage, toKafkaMessage } from './cloud-events.js';

const envelope: EventEnvelope = {
  specversion: '1.0',
  id: '0193c7f0-0000-7000-8000-000000000000',
  source: '/atrest/test',
  type: 'io.atrest.sample.changed.v1',
  subject: 'a',
  time: '2026-01-01T00:00:00.000Z',
  datacontenttype: 'application/json',
  correlationid: 'c',
  data: { id: 'a', list: [{ revision: 1 }] },
};

/** What a consumer sees of it. */
function received(change: { headers?: IHeaders; value?: string | null } = {}): KafkaMessage {
  const { headers, value } = { ...toKafkaMessage(envelope), ...change };
  return { headers, value: typeof value === 'string' ? Buffer.from(value) : null } as KafkaMessage;
}

describe('CloudEvents in binary mode', () => {
  test('an envelope arrives as it was sent, under its subject as key', () => {
    expect(fromKafkaMessage(received())).toEqual(envelope);
    expect(toKafkaMessage(envelope).key).toBe('a');
    const traced = { ...envelope, causationid: 'b', traceparent: '00-1-2-01' };
    expect(fromKafkaMessage(received({ headers: toKafkaMessage(traced).headers! }))).toEqual(traced);
  });

  test.each([
    ['no JSON', '{"id": ', '{"id": '],
    ['JSON nested so deeply that it could not be written again', '['.repeat(500_000) + ']'.repeat(500_000), expect.stringMatching(/^\[\[/)],
    ['no value', null, undefined],
  ])('%s is kept as it is, for the inbox to park', (_, value, data) => {
    const read = fromKafkaMessage(received({ value })) as EventEnvelope;
    expect(read).toEqual({ ...envelope, data });
    expect(() => JSON.stringify(read)).not.toThrow();
  });

  test('what lacks headers is no envelope, and reading it does not throw', () => {
    expect(fromKafkaMessage(received({ headers: {} }))).toEqual({ datacontenttype: undefined, data: envelope.data });
  });
});
