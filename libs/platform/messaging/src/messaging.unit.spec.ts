import fc from 'fast-check';
import { EventEnvelopeSchema, type EventEnvelope } from '@atrest/contracts';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { afterFailure, beforeAttempt } from './attempts.js';
import { newEventId } from './event-id.js';
import { defineHandler, WiringError, type EventHandler } from './index.js';
import { judge, readEnvelope } from './judge.js';
import { sampleEvent, sampleTopic } from './sample-service.contract.js';
import { wire } from './wiring.js';

const topic = sampleTopic('test.samples');
const changed = sampleEvent(topic);
const renamed = sampleEvent(topic, 'renamed');
const elsewhere = sampleEvent(sampleTopic('test.elsewhere'), 'moved');
const handlerOf = (definition = changed, name = 'handler') => defineHandler(definition, name, async () => undefined);
const catchAll = (definition: typeof changed) => defineHandler(definition, 'catch-all', async () => undefined, { alsoUnknownTypes: true });

describe('wiring', () => {
  test('each consumed type has exactly one handler, and what is ignored is received', () => {
    const wiring = wire('service', [changed], [handlerOf()], [renamed]);
    expect(wiring.topics).toEqual([topic.name]);
    expect([...wiring.handlers.keys()]).toEqual([changed.type]);
  });

  test.each([
    ['no handler', () => wire('s', [changed, renamed], [handlerOf()], [])],
    ['two handlers', () => wire('s', [changed], [handlerOf(), handlerOf(changed, 'other')], [])],
    ['not consumed', () => wire('s', [], [handlerOf()], [])],
    ['consumed twice', () => wire('s', [changed, changed], [handlerOf()], [])],
    ['both consumed and ignored', () => wire('s', [changed], [handlerOf()], [changed])],
    ['unknown types of test.samples have two handlers', () => wire('s', [changed, renamed], [catchAll(changed), catchAll(renamed)], [])],
    ['nothing of test.elsewhere is consumed', () => wire('s', [changed], [handlerOf()], [elsewhere])],
  ])('refuses: %s', (problem, attempt) => {
    expect(attempt).toThrow(WiringError);
    expect(attempt).toThrow(problem);
  });
});

describe('judging an event', () => {
  const routes = wire('service', [changed], [handlerOf()], [renamed]);
  const envelope: EventEnvelope = {
    specversion: '1.0',
    id: newEventId(new Date()),
    source: '/atrest/test',
    type: changed.type,
    subject: 'a',
    time: '2026-01-01T00:00:00.000Z',
    datacontenttype: 'application/json',
    correlationid: 'c',
    data: { id: 'a', revision: 1, unknown: true },
  };

  test('known and valid: handled, with what the schema knows', () => {
    expect(judge(envelope, topic.name, routes)).toMatchObject({
      kind: 'handle',
      event: { data: { id: 'a', revision: 1 } },
    });
  });

  test.each([
    ['ignored', { type: renamed.type }, topic.name, { kind: 'ignore' }],
    ['unknown', { type: elsewhere.type }, topic.name, { kind: 'park', reason: 'UNKNOWN_TYPE' }],
    ['on the wrong topic', {}, 'test.elsewhere', { kind: 'park', reason: 'UNKNOWN_TYPE' }],
    ['invalid', { data: { id: '', revision: 'x' } }, topic.name, { kind: 'park', reason: 'INVALID_DATA' }],
  ])('%s', (_name, change, on, verdict) => {
    expect(judge({ ...envelope, ...change }, on, routes)).toMatchObject(verdict);
  });

  test('a handler for unknown types gets those of its topic, and of no other', () => {
    const answering = { ...catchAll(changed), definition: { ...changed, schema: z.unknown() } } as EventHandler;
    const catching = wire('service', [changed], [answering], [renamed]);
    const unknown = { ...envelope, type: elsewhere.type, data: 'anything' };
    expect(judge(unknown, topic.name, catching)).toEqual({ kind: 'handle', handler: answering, event: unknown });
    expect(judge({ ...envelope, type: renamed.type }, topic.name, catching)).toEqual({ kind: 'ignore' });
    expect(judge(unknown, 'test.elsewhere', catching)).toMatchObject({ kind: 'park', reason: 'UNKNOWN_TYPE' });
    expect(judge(envelope, 'test.elsewhere', catching)).toMatchObject({ kind: 'park', reason: 'UNKNOWN_TYPE' });
  });

  test('whatever arrives is an envelope or has problems; reading it never throws', () => {
    fc.assert(
      fc.property(fc.oneof(fc.anything(), fc.record({ specversion: fc.constant('1.0'), id: fc.uuid(), subject: fc.string() })), (value) => {
        const read = readEnvelope(value);
        return 'envelope' in read || read.problems.length > 0;
      }),
    );
    expect(readEnvelope({ ...envelope, subject: 'a\0b' })).toHaveProperty('problems');
  });
});

describe('attempts', () => {
  const retry = { baseMs: 100, maxMs: 30_000, attempts: 8 };

  test('an event is tried exactly as often as allowed, whatever ended its attempts', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('throws', 'kills the process'), { minLength: 8, maxLength: 8 }), (fates) => {
        let failed = 0;
        for (const [index, fate] of fates.entries()) {
          const started = index + 1;
          expect(beforeAttempt({ started, failed }, retry)).toEqual({ kind: 'attempt' });
          if (fate === 'kills the process') continue;
          const step = afterFailure({ started, failed }, 'detail', retry);
          failed += 1;
          expect(step.kind).toBe(started === 8 ? 'park' : 'retry');
          if (step.kind === 'retry') expect(step.waitMs).toBeLessThanOrEqual(30_000);
        }
        // When the last one ended the process, its successor finds out before it begins.
        const unfinished = 8 - failed;
        if (unfinished > 0) expect(beforeAttempt({ started: 9, failed }, retry)).toMatchObject({ kind: 'park', reason: 'PROCESS_ENDED' });
      }),
    );
  });
});

test('event ids are UUIDs that sort by time', () => {
  fc.assert(
    fc.property(fc.nat(4e12), fc.integer({ min: 1, max: 1e6 }), (start, step) => {
      const [first, second] = [newEventId(new Date(start)), newEventId(new Date(start + step))];
      expect(first < second).toBe(true);
      expect(EventEnvelopeSchema.shape.id.safeParse(first).success).toBe(true);
    }),
  );
});
