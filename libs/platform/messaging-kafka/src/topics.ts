import type { Topic } from '@atrest/contracts';
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
      waitForLeaders: true,
      topics: missing.map((topic) => ({
        topic: topic.name,
        numPartitions: topic.partitions,
        replicationFactor,
        configEntries: configurationOf(topic),
      })),
    });
  }
  const present = topics.filter((topic) => existing.has(topic.name));
  const problems =
    present.length === 0 ? [] : [...(await partitionProblems(admin, present)), ...(await configurationProblems(admin, present))];
  if (problems.length > 0) throw new TopicMismatchError(problems);
}

async function partitionProblems(admin: Admin, topics: readonly Topic[]): Promise<string[]> {
  const { topics: found } = await admin.fetchTopicMetadata({ topics: topics.map((topic) => topic.name) });
  const counts = new Map(found.map((topic) => [topic.name, topic.partitions.length]));
  return topics
    .filter((topic) => counts.get(topic.name) !== topic.partitions)
    .map(
      (topic) =>
        `${topic.name} has ${counts.get(topic.name)} partitions, declared are ${topic.partitions}: a different number changes which partition a key goes to; recreate the topic or change libs/contracts`,
    );
}

async function configurationProblems(admin: Admin, topics: readonly Topic[]): Promise<string[]> {
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: topics.map((topic) => ({
      type: kafkajs.ConfigResourceTypes.TOPIC,
      name: topic.name,
      configNames: configurationOf(topic).map(({ name }) => name),
    })),
  });
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
