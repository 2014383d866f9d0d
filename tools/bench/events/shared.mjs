// What both sides of the benchmark of events agree on.
import { defineEvent } from '@atrest/contracts';
import { createLogger } from '@atrest/platform-logging';
import { z } from 'zod';

/** Subjects that events are spread over; as many as a middle-sized installation has clusters in motion. */
export const SUBJECTS = 200;

/** Brings an event to about the size of a cluster's. */
export const PADDING = 'x'.repeat(400);

export const topicOf = (name) => ({ name, partitions: 12, compacted: false, retentionDays: 1, description: 'Of one benchmark.' });

export const changedOn = (topicName) =>
  defineEvent({
    type: 'io.atrest.sample.changed.v1',
    topic: topicOf(topicName),
    schema: z.object({ id: z.string().min(1), revision: z.int(), padding: z.string() }),
    description: 'A sample changed.',
    subjectOf: (sample) => sample.id,
  });

export const loggerOf = (service) => createLogger({ service, level: process.env.BENCH_LOG ?? 'error' });

/** A table of the benchmark as a migration. */
export function migration(name, sql) {
  const Migration = {
    [name]: class {
      name = name;
      up(runner) {
        return runner.query(sql);
      }
      down() {
        return Promise.resolve();
      }
    },
  }[name];
  return Migration;
}

/** Answers the commands of the parent until it says `end`. */
export function serve(commands) {
  process.on('message', async ({ id, command, parameters }) => {
    try {
      process.send({ id, result: (await commands[command](parameters)) ?? null });
    } catch (error) {
      process.send({ id, error: error.stack });
    }
    if (command === 'end') process.disconnect();
  });
  process.send({ ready: true });
}

/**
 * Calls `emit(index)` this often per second for so many seconds, as far as `concurrency` calls at a time can keep that up. Resolves when
 * all calls are over: the rate kept.
 */
export async function atRate({ rate, seconds, concurrency = 16, emit }) {
  const count = Math.round(rate * seconds);
  const begin = performance.now();
  const running = new Set();
  for (let index = 0; index < count;) {
    const due = Math.min(count, Math.floor(((performance.now() - begin) / 1000) * rate) + 1);
    for (; index < due && running.size < concurrency; index += 1) {
      const call = emit(index).finally(() => running.delete(call));
      running.add(call);
    }
    if (running.size < concurrency) await new Promise((resolve) => setTimeout(resolve, 1));
    else await Promise.race(running);
  }
  await Promise.all(running);
  return { rate: count / ((performance.now() - begin) / 1000) };
}

/** Calls `emit(index)` from so many places at once until told to stop. */
export function flood({ concurrency, emit, isPaused = () => false }) {
  let going = true;
  let index = 0;
  const places = Array.from({ length: concurrency }, async () => {
    while (going) {
      if (isPaused()) await new Promise((resolve) => setTimeout(resolve, 2));
      else await emit(index++);
    }
  });
  return {
    stop: async () => {
      going = false;
      await Promise.all(places);
    },
  };
}

/** Names one change of one subject, on both sides. */
export const keyOf = (id, revision) => [id, revision].join('/');
