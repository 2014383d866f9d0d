import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '@atrest/platform-time';
import { InMemoryObjectStore, openEpoch, unsealedDataKeys, verifySnapshot } from '@atrest/snapshot-store';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { NOT_HELD, TestBackups } from './test-backups.contract.js';

let backups: TestBackups;
beforeEach(async () => {
  backups = await TestBackups.open();
});
afterEach(() => backups.close());

/** What the agent left in it can be looked at when the agent has closed it. */
class KeptStore extends InMemoryObjectStore {
  override async close(): Promise<void> {
    // Nothing else refers to it: it goes with the test.
  }
}

/**
 * Two files each for 10,000 collections, which the server itself would need minutes to make. All are named as those of indexes: a server clears away files
 * of collections that it does not know.
 */
async function fill(dbPath: string): Promise<void> {
  for (let n = 0; n < 10_000; n += 100) {
    await Promise.all(
      Array.from({ length: 100 }, (_, i) => [`index-${n + i}--data.wt`, `index-${n + i}--id.wt`])
        .flat()
        .map((name) => writeFile(join(dbPath, name), `${name} `.repeat(100))),
    );
  }
}

it('F89 a member with 10,000 collections is copied whole; one with more files than may be is refused, in words', async () => {
  const store = new KeptStore(systemClock);
  const [member] = await backups.startSet(1, { snapshotStore: { description: 'memory', open: async () => store, threads: 1 } });
  await fill(member!.dbPath);
  const ofTask = { encryptionKeyId: null, methods: ['fsyncLock' as const] };

  const refused = await backups.failureOf(await backups.takeTask(member!, { ...ofTask, maxFiles: 20_000 }));
  expect(refused).toMatchObject({ code: 'TOO_MANY_FILES', detail: expect.stringMatching(/20,?000/) });
  expect(await backups.holdsOf(member!)).toEqual(NOT_HELD);

  const task = await backups.takeTask(member!, ofTask);
  const { failure, taken } = await backups.result(task);
  expect(failure).toBeUndefined();
  expect(taken!.files).toBeGreaterThan(20_000);
  const { keys } = await openEpoch(store, backups.epochId, unsealedDataKeys);
  const verified = await verifySnapshot({ store, keys, snapshotId: task.snapshotId, signal: new AbortController().signal });
  expect(verified.problems).toEqual([]);
  expect(verified.blocksRead).toBeGreaterThan(20_000);
  expect(await backups.holdsOf(member!)).toEqual(NOT_HELD);
});
