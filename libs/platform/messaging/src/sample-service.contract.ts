import { defineEvent, type EventDefinition, type Topic } from '@atrest/contracts';
import { createLogger } from '@atrest/platform-logging';
import { Metrics } from '@atrest/platform-metrics';
import { rows, ServiceDatabase, type Transaction } from '@atrest/platform-persistence';
import { systemClock, type Clock } from '@atrest/platform-time';
import { waitFor } from '@atrest/testing';
import { z } from 'zod';
import {
  defineHandler,
  EventPublisher,
  Messaging,
  messagingMigrations,
  type EventHandler,
  type EventTransport,
  type MessagingOptions,
} from './index.js';

/** State of a made-up aggregate: its revision says how far it is. */
export interface Sample {
  readonly id: string;
  readonly revision: number;
}

/** Nothing that exists is used, so that no real schema has to be satisfied. */
export function sampleEvent(topic: Topic, name = 'changed'): EventDefinition<Sample> {
  return defineEvent<Sample>({
    type: `io.atrest.sample.${name}.v1`,
    topic,
    schema: z.object({ id: z.string().min(1), revision: z.int() }),
    description: 'A sample changed.',
    subjectOf: (sample) => sample.id,
  });
}

export const sampleTopic = (name: string): Topic => ({
  name,
  partitions: 3,
  compacted: false,
  retentionDays: 1,
  description: 'For tests.',
});

class Effects1700000000001 {
  name = 'Effects1700000000001';
  async up(runner: { query(sql: string): Promise<unknown> }): Promise<void> {
    await runner.query(
      'CREATE TABLE effect (number bigint GENERATED ALWAYS AS IDENTITY, subject text NOT NULL, revision int NOT NULL, event_id uuid NOT NULL, handled_by text NOT NULL)',
    );
  }
  async down(): Promise<void> {}
}

export interface SampleService {
  readonly database: ServiceDatabase;
  readonly messaging: Messaging;
  readonly metrics: Metrics;
  publish(definition: EventDefinition<Sample>, ...samples: Sample[]): Promise<void>;
  /** What the handlers wrote, in the order in which it was written. */
  effects(): Promise<{ subject: string; revision: number; eventId: string; handledBy: string }[]>;
  stop(): Promise<void>;
}

/** What the default handler does: one row per event. */
export async function writeEffect(tx: Transaction, sample: Sample, eventId: string, handledBy: string): Promise<void> {
  await rows(tx, 'INSERT INTO effect (subject, revision, event_id, handled_by) VALUES ($1, $2, $3, $4)', [
    sample.id,
    sample.revision,
    eventId,
    handledBy,
  ]);
}

/** A handler that writes one row per event, after whatever `before` does. */
export function effectHandler(
  definition: EventDefinition<Sample>,
  before: (sample: Sample, tx: Transaction) => void | Promise<void> = () => undefined,
  handledBy = 'one',
): EventHandler {
  return defineHandler(definition, 'write-effect', async (event, tx) => {
    await before(event.data, tx);
    await writeEffect(tx, event.data, event.id, handledBy);
  });
}

/** A whole small service: its schema, its messaging, a table of effects. */
export async function openSampleService(o: {
  service: string;
  url: string;
  transport: EventTransport;
  handlers?: EventHandler[];
  options?: Partial<MessagingOptions>;
  start?: boolean;
  clock?: Clock;
}): Promise<SampleService> {
  const logger = createLogger({ service: o.service, level: process.env['TEST_LOG'] ?? 'silent' });
  const metrics = new Metrics();
  const database = await ServiceDatabase.open({
    service: o.service,
    url: o.url,
    migrations: [...messagingMigrations, Effects1700000000001],
    logger,
    metrics,
  });
  const handlers = o.handlers ?? [];
  const clock = o.clock ?? systemClock;
  const messaging = new Messaging({
    service: o.service,
    database,
    transport: o.transport,
    consumes: handlers.map((handler) => handler.definition),
    handlers,
    clock,
    logger,
    metrics,
    // Short waits, because tests wait for what follows them. The polling stays as it is: what needs it must not be hidden.
    retry: { baseMs: 2, maxMs: 20, attempts: 4 },
    claimMs: 1_000,
    ...o.options,
  });
  const publisher = new EventPublisher(o.service, clock);
  if (o.start ?? true) await messaging.start();
  return {
    database,
    messaging,
    metrics,
    publish: (definition, ...samples) =>
      database.transaction(async (tx) => {
        for (const sample of samples) await publisher.publish(tx, definition, sample);
      }),
    effects: () => database.query(`SELECT subject, revision, event_id AS "eventId", handled_by AS "handledBy" FROM effect ORDER BY number`),
    stop: async () => {
      await messaging.stop();
      await database.close();
    },
  };
}

/** Effects of one subject, as revisions. */
export const revisionsOf = (effects: readonly { subject: string; revision: number }[], subject: string): number[] =>
  effects.filter((effect) => effect.subject === subject).map((effect) => effect.revision);

/** Until the service has written this many effects. */
export function whenEffects(service: SampleService, count: number): Promise<unknown> {
  let seen = 0;
  return waitFor(
    async () => {
      seen = (await service.effects()).length;
      return seen >= count;
    },
    { describe: () => `${count} effects (there are ${seen})` },
  );
}
