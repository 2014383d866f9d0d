import { readManifest, verifySnapshot, NOT_ENABLED } from '@atrest/snapshot-store';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NOT_HELD, TestBackups } from './test-backups.contract.js';

let backups: TestBackups;
beforeEach(async () => {
  backups = await TestBackups.open();
});
afterEach(() => backups.close());

const never = new AbortController().signal;

describe('a snapshot', () => {
  it('is taken from a secondary by the first method that works, proven, recorded, and leaves the member as it was', async () => {
    await backups.startSet(3);
    await backups.insert(0, 300);
    const member = await backups.secondary();
    const task = await backups.takeTask(member);
    const result = await backups.result(task);
    expect(result.failure).toBeUndefined();
    expect(result).toMatchObject({
      outcome: 'done',
      proof: { blocksSampled: expect.any(Number), blocksRead: expect.any(Number) },
      taken: {
        method: 'backupCursor',
        member: `127.0.0.1:${member.port}`,
        memberState: 'SECONDARY',
        featureCompatibilityVersion: expect.stringMatching(/^\d/),
        storage: { engine: 'wiredTiger', directoryPerDB: false, cipherMode: null },
        topology: { replicaSet: 'rs0', members: backups.goals.map(({ port }) => `127.0.0.1:${port}`) },
        optime: { seconds: expect.any(Number), term: expect.any(Number) },
        key: { provider: 'AWS', encryptionKeyId: backups.keyId },
      },
    });
    const keys = await backups.keys();
    const store = await backups.openStore();
    const manifest = await readManifest(store, keys, task.snapshotId);
    expect(manifest.labels).toEqual({ clusterName: 'shop' });
    expect(manifest.source).toMatchObject({ method: 'backupCursor', optime: result.taken!.optime });
    expect(result.taken).toMatchObject({ files: manifest.files, bytes: manifest.bytes, storedBytes: manifest.storedBytes });
    await expect(verifySnapshot({ store, keys, snapshotId: task.snapshotId, signal: never })).resolves.toMatchObject({ problems: [] });
    expect(await backups.holdsOf(member)).toEqual(NOT_HELD);
    expect(await backups.stored('writers/')).toEqual([]);
  });

  it('of a cluster without encryption at rest has its data key beside it, and says so', async () => {
    const [member] = await backups.startSet(1);
    const task = await backups.takeTask(member!, { encryptionKeyId: null, methods: ['fsyncLock'] });
    await expect(backups.result(task)).resolves.toMatchObject({ outcome: 'done', taken: { key: null, method: 'fsyncLock' } });
    const keys = await backups.unsealedKeys();
    await expect(readManifest(await backups.openStore(), keys, task.snapshotId)).resolves.toMatchObject({ snapshotId: task.snapshotId });
    expect(NOT_ENABLED).toBe('Not enabled');
    expect(await backups.holdsOf(member!)).toEqual(NOT_HELD);
  });
});
