import { setTimeout as delay } from 'node:timers/promises';
import type { Topic } from '@atrest/contracts';
import { backoffMs } from '@atrest/platform-time';
import kafkajs, { type Admin } from 'kafkajs';

/** Thrown when a topic on the broker differs from its declaration in a way that would break order or lose events. */
export class TopicMismatchError extends Error {
  readonly code = 'TOPIC_MISMATCH';

  constructor(readonly problems: readonly string[]) {
    super(`Topics on the broker differ from what Atrest needs:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.name = 'TopicMismatchError';
  }
}

const DAY_MS = 24 * 60 * 60 * 1000;

const configurationOf = (topic: Topic): { name: string; value: string }[] =>
  topic.compacted
    ? [{ name: 'cleanup.policy', value: 'compact' }]
    : [
        { name: 'cleanup.policy', value: 'delete' },
        { name: 'retention.ms', value: String(topic.retentionDays * DAY_MS) },
      ];

/**
 * Creates the topics that are missing and compares the others with their declaration.
 *
 * @param replicationFactor -1 takes the broker's default
 * @throws TopicMismatchError naming every difference and what to do
 */
export async function ensureTopics(admin: Admin, topics: readonly Topic[], replicationFactor: number): Promise<void> {
  const existing = new Set(await admin.listTopics());
  const missing = topics.filter((topic) => !existing.has(topic.name));
  if (missing.length > 0) {
    await admin.createTopics({
      // It would give up on a broker that has not heard of the topic yet.
      waitForLeaders: false,
      topics: missing.map((topic) => ({
        topic: topic.name,
        numPartitions: topic.partitions,
        replicationFactor,
        configEntries: configurationOf(topic),
      })),
    });
    await onceKnown(() => untilLed(admin, missing));
  }
  const present = topics.filter((topic) => existing.has(topic.name));
  const problems =
    present.length === 0 ? [] : [...(await partitionProblems(admin, present)), ...(await configurationProblems(admin, present))];
  if (problems.length > 0) throw new TopicMismatchError(problems);
}

/** Half a minute in all: what takes longer is no delay. */
const TRIES = 20;
const PAUSE = { baseMs: 50, maxMs: 2_000 };
const NOT_KNOWN_YET = new Set(['UNKNOWN_TOPIC_OR_PARTITION', 'LEADER_NOT_AVAILABLE']);

/** Asks again while the broker that answers has not heard of a topic, or of its leaders: what one broker made the others learn a little later. */
async function onceKnown<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask();
    } catch (error) {
      const { type, cause } = error as { type?: string; cause?: { type?: string } };
      if (tries >= TRIES || !NOT_KNOWN_YET.has(type ?? cause?.type ?? '')) throw error;
      await delay(backoffMs(tries, PAUSE));
    }
  }
}

const metadataOf = async (admin: Admin, topics: readonly Topic[]) =>
  (await admin.fetchTopicMetadata({ topics: topics.map((topic) => topic.name) })).topics;

async function untilLed(admin: Admin, topics: readonly Topic[]): Promise<void> {
  const found = await metadataOf(admin, topics);
  const leaderless = found.find(({ partitions }) => partitions.length === 0 || partitions.some(({ leader }) => leader < 0));
  if (leaderless !== undefined) throw Object.assign(new Error(`${leaderless.name} has no leader yet`), { type: 'LEADER_NOT_AVAILABLE' });
}

async function partitionProblems(admin: Admin, topics: readonly Topic[]): Promise<string[]> {
  const found = await onceKnown(() => metadataOf(admin, topics));
  const counts = new Map(found.map((topic) => [topic.name, topic.partitions.length]));
  return topics
    .filter((topic) => counts.get(topic.name) !== topic.partitions)
    .map(
      (topic) =>
        `${topic.name} has ${counts.get(topic.name)} partitions, declared are ${topic.partitions}: a different number changes which partition a key goes to; recreate the topic or change libs/contracts`,
    );
}

async function configurationProblems(admin: Admin, topics: readonly Topic[]): Promise<string[]> {
  const { resources } = await onceKnown(() =>
    admin.describeConfigs({
      includeSynonyms: false,
      resources: topics.map((topic) => ({
        type: kafkajs.ConfigResourceTypes.TOPIC,
        name: topic.name,
        configNames: configurationOf(topic).map(({ name }) => name),
      })),
    }),
  );
  const found = new Map(
    resources.flatMap(({ resourceName, configEntries }) =>
      configEntries.map(({ configName, configValue }) => [`${resourceName} ${configName}`, configValue] as const),
    ),
  );
  return topics.flatMap((topic) =>
    configurationOf(topic).flatMap(({ name, value }) => {
      const actual = found.get(`${topic.name} ${name}`);
      return actual === value
        ? []
        : [`${topic.name} has ${name}=${actual}, declared is ${value}: ${WHY[name]}; alter the topic's configuration`];
    }),
  );
}

const WHY: Readonly<Record<string, string>> = {
  'cleanup.policy': 'projections are rebuilt from compacted topics, and the events of others are each of their own worth',
  // The inbox forgets ids after 14 days.
  'retention.ms': 'events that a service has not read yet would be lost earlier, or come again after their ids are forgotten',
};
