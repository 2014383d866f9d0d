import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { type EventDefinition, type EventEnvelope, type Topic } from '@atrest/contracts';
import { createLogger } from '@atrest/platform-logging';
import { defineHandler, EventPublisher, type EventHandler, type MessagingOptions } from '@atrest/platform-messaging';
import { openSampleService, sampleEvent, writeEffect, type Sample, type SampleService } from '@atrest/platform-messaging/contract';
import { rows, type ServiceDatabase } from '@atrest/platform-persistence';
import { systemClock } from '@atrest/platform-time';
import { waitFor } from '@atrest/testing';
import { KafkaTransport } from './index.js';

/** Generous: it only ends what hangs. A broker or a group that was killed takes its time to come back on a busy machine. */
export const LIMIT_MS = 150_000;

/** Where the services of one test meet. */
export interface Place {
  readonly url: string;
  readonly brokers: readonly string[];
  /** Also the prefix of its consumer groups. */
  readonly topic: string;
}

export const topicNamed = (name: string): Topic => ({ name, partitions: 6, compacted: true, retentionDays: 1, description: 'of one test' });

const transportTo = ({ brokers, topic }: Place): KafkaTransport =>
  new KafkaTransport({
    brokers,
    clientId: 'test',
    logger: createLogger({ service: 'test', level: process.env['TEST_LOG'] ?? 'silent' }),
    topics: [topicNamed(topic)],
    groupPrefix: topic,
    // Short, because tests wait for what follows them.
    sessionTimeoutMs: 4_000,
    requestRetries: 1,
  });

/** One row per event, and the newest state per aggregate. */
const effectAndProjection = (definition: EventDefinition<Sample>, before: (sample: Sample) => void | Promise<void>): EventHandler =>
  defineHandler(definition, 'remember-sample', async (event, tx) => {
    await before(event.data);
    await writeEffect(tx, event.data, event.id, 'one');
    await rows(
      tx,
      `INSERT INTO projection VALUES ($1, $2)
       ON CONFLICT (id) DO UPDATE SET revision = EXCLUDED.revision WHERE projection.revision < EXCLUDED.revision`,
      [event.data.id, event.data.revision],
    );
  });

interface Part {
  readonly service: SampleService;
  stop(): Promise<void>;
}

async function openPart(
  place: Place,
  name: 'source' | 'consumer',
  o: { before?: (sample: Sample) => void | Promise<void>; start?: boolean },
): Promise<Part> {
  const transport = transportTo(place);
  const options: Partial<MessagingOptions> = { claimMs: 500, retry: { baseMs: 2, maxMs: 50, attempts: 50 } };
  const handlers = name === 'consumer' ? [effectAndProjection(sampleEvent(topicNamed(place.topic)), o.before ?? (() => undefined))] : [];
  const service = await openSampleService({ service: name, url: place.url, transport, handlers, options, start: false });
  const table = name === 'source' ? 'aggregate' : 'projection';
  await service.database.query(`CREATE TABLE IF NOT EXISTS ${table} (id text PRIMARY KEY, revision int NOT NULL)`);
  if (o.start ?? true) await service.messaging.start();
  return {
    service,
    stop: async () => {
      await service.messaging.stop();
      await transport.close();
      await service.database.close();
    },
  };
}

/** Aggregates of one service and their projection in another, over a real Kafka. */
export class FaultWorld {
  readonly definition: EventDefinition<Sample>;
  private readonly publisher = new EventPublisher('source', systemClock);
  private readonly parts: Part[] = [];

  private constructor(
    readonly place: Place,
    private readonly source: Part,
    private readonly reader: Part,
  ) {
    this.definition = sampleEvent(topicNamed(place.topic));
    this.parts.push(source, reader);
  }

  /** With a source and no consumer yet. `relays` false: somebody else relays the outbox of the source. */
  static async open(o: { url: string; brokers: readonly string[]; relays?: boolean }): Promise<FaultWorld> {
    const place = { url: o.url, brokers: o.brokers, topic: `test.${randomUUID()}` };
    const source = await openPart(place, 'source', { start: o.relays ?? true });
    return new FaultWorld(place, source, await openPart(place, 'consumer', { start: false }));
  }

  get sourceMetrics(): SampleService['metrics'] {
    return this.source.service.metrics;
  }

  get consumerDatabase(): ServiceDatabase {
    return this.reader.service.database;
  }

  /** A replica of the consumer. */
  async consumer(before?: (sample: Sample) => void | Promise<void>): Promise<Part> {
    const part = await openPart(this.place, 'consumer', before === undefined ? {} : { before });
    this.parts.push(part);
    return part;
  }

  /** A second replica of the source. */
  async anotherSource(): Promise<Part> {
    const part = await openPart(this.place, 'source', {});
    this.parts.push(part);
    return part;
  }

  /** Changes an aggregate and publishes the change, in one transaction. A database that is away for a moment is asked again. */
  async change(id: string): Promise<void> {
    await waitFor(
      () =>
        this.source.service.database.transaction(async (tx) => {
          const [row] = await rows<{ revision: number }>(
            tx,
            `INSERT INTO aggregate VALUES ($1, 1) ON CONFLICT (id) DO UPDATE SET revision = aggregate.revision + 1 RETURNING revision`,
            [id],
          );
          await this.publisher.publish(tx, this.definition, { id, revision: row?.revision ?? 0 });
          return true;
        }),
      { describe: `a change of ${id}`, limitMs: LIMIT_MS },
    );
  }

  /** Aggregates as they are, without events: somebody else sends those. */
  async record(samples: readonly Sample[]): Promise<void> {
    await this.source.service.database.query('INSERT INTO aggregate SELECT * FROM unnest($1::text[], $2::int[])', [
      samples.map(({ id }) => id),
      samples.map(({ revision }) => revision),
    ]);
  }

  /** Sends envelopes past the outbox, as they are. */
  async sendAsIs(envelopes: readonly EventEnvelope[]): Promise<void> {
    const transport = transportTo(this.place);
    await transport.send(envelopes.map((envelope) => ({ topic: this.place.topic, envelope })));
    await transport.close();
  }

  envelope(id: string, revision: number): EventEnvelope {
    return {
      specversion: '1.0',
      id: randomUUID(),
      source: '/atrest/source',
      type: this.definition.type,
      subject: id,
      time: new Date().toISOString(),
      datacontenttype: 'application/json',
      correlationid: randomUUID(),
      data: { id, revision },
    };
  }

  async effectCount(): Promise<number> {
    const [row] = await this.consumerDatabase.query<{ count: number }>('SELECT count(*) FROM effect');
    return row?.count ?? 0;
  }

  /** Waits until every projection equals its aggregate. */
  async projectionsEqualAggregates(): Promise<void> {
    let different = '';
    await waitFor(
      async () => {
        const aggregates = await this.aggregates();
        const projections = await this.consumerDatabase.query<Sample>('SELECT id, revision FROM projection ORDER BY id');
        different = `${projections.length} of ${aggregates.length} are there`;
        return aggregates.length > 0 && isDeepStrictEqual(projections, aggregates);
      },
      { describe: () => `every projection to equal its aggregate (${different})`, limitMs: LIMIT_MS },
    );
  }

  /** Waits until every projection equals its aggregate; then tells which aggregates lack the effect of a revision, or have one twice or out of order. */
  async comparison(): Promise<{ readonly wrong: unknown[]; readonly deadLetters: number }> {
    await this.projectionsEqualAggregates();
    // A connection that a restart of the database broke is noticed by the first who uses it: asked again, like everything here.
    const { aggregates, effects, letters } = await waitFor(
      async () => ({
        aggregates: await this.aggregates(),
        effects: await this.consumerDatabase.query<{ subject: string; revisions: number[] }>(
          'SELECT subject, array_agg(revision ORDER BY number) AS revisions FROM effect GROUP BY subject',
        ),
        letters: await this.reader.service.messaging.deadLetters.list(),
      }),
      { describe: 'what the services wrote', limitMs: LIMIT_MS },
    );
    const revisions = new Map(effects.map((effect) => [effect.subject, effect.revisions]));
    const wrong = aggregates
      .map(({ id, revision }) => ({ id, revision, revisions: revisions.get(id) }))
      .filter(
        (each) =>
          !isDeepStrictEqual(
            each.revisions,
            Array.from({ length: each.revision }, (_, index) => index + 1),
          ),
      );
    return { wrong, deadLetters: letters.length };
  }

  private aggregates(): Promise<Sample[]> {
    return this.source.service.database.query<Sample>('SELECT id, revision FROM aggregate ORDER BY id');
  }

  async close(): Promise<void> {
    for (const part of this.parts.reverse()) await part.stop();
  }
}

/** What a comparison says when nothing was lost, repeated or turned round. */
export const NOTHING_WRONG = { wrong: [], deadLetters: 0 };

/** Source and consumer in a process of their own, until it is killed. */
export async function runServices(place: string): Promise<void> {
  const parsed = JSON.parse(place) as Place;
  await Promise.all([openPart(parsed, 'source', {}), openPart(parsed, 'consumer', {})]);
}
