import type { Topic } from '@atrest/contracts';
import type { Admin } from 'kafkajs';
import { describe, expect, it } from 'vitest';
import { ensureTopics } from './topics.js';

const topic: Topic = { name: 'atrest.sample', partitions: 2, compacted: false, retentionDays: 7, description: 'of a test' };
const protocolError = (type: string) => Object.assign(new Error('This server does not host this topic-partition'), { type });
const led = (leader: number) => ({
  topics: [{ name: topic.name, partitions: [0, 1].map((partitionId) => ({ partitionId, leader })) }],
});

/** A broker that answers questions for a topic's metadata like this, one after the other. */
function brokerThat(answers: (Error | ReturnType<typeof led>)[]): { readonly admin: Admin; readonly left: () => number } {
  const admin = {
    listTopics: async () => [],
    createTopics: async () => true,
    fetchTopicMetadata: async () => {
      const answer = answers.shift();
      if (answer instanceof Error || answer === undefined) throw answer ?? new Error('asked too often');
      return answer;
    },
  };
  return { admin: admin as unknown as Admin, left: () => answers.length };
}

describe('topics that were just made', () => {
  it('are waited for until the broker that is asked knows them and who leads them', async () => {
    const wrapped = new Error('gave up', { cause: protocolError('UNKNOWN_TOPIC_OR_PARTITION') });
    const { admin, left } = brokerThat([protocolError('UNKNOWN_TOPIC_OR_PARTITION'), wrapped, led(-1), led(1)]);
    await ensureTopics(admin, [topic], -1);
    expect(left()).toBe(0);
  });

  it('are not waited for when something else is wrong', async () => {
    const { admin, left } = brokerThat([protocolError('TOPIC_AUTHORIZATION_FAILED'), led(1)]);
    await expect(ensureTopics(admin, [topic], -1)).rejects.toMatchObject({ type: 'TOPIC_AUTHORIZATION_FAILED' });
    expect(left()).toBe(1);
  });
});
