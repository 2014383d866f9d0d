import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AGENT_USERNAME, newObjectId } from '@atrest/contracts';
import { loadYaml } from '@atrest/platform-config';
import { readManifest, restoreFiles, StoreRefusedError } from '@atrest/snapshot-store';
import { DevelopmentS3, waitFor } from '@atrest/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { folderStore, SnapshotStoreFileSchema, snapshotStoreOf } from './store-settings.js';
import { NOT_HELD, TestBackups } from './test-backups.contract.js';

let backups: TestBackups;
beforeEach(async () => {
  backups = await TestBackups.open();
});
afterEach(() => backups.close());

async function taken(parentSnapshotId: string | null = null): Promise<string> {
  const task = await backups.takeTask(backups.goals[0]!, { parentSnapshotId });
  const { failure } = await backups.result(task);
  expect(failure).toBeUndefined();
  return task.snapshotId;
}

describe('snapshots of a member', () => {
  it('are stored incrementally, proven again, and deleted with what they alone used; twice is as good as once', async () => {
    await backups.startSet(1);
    await backups.insert(0, 200);
    const first = await taken();
    const blocks = (await backups.stored('blocks/')).length;
    await backups.insert(200, 10);
    const second = await taken(first);
    expect((await backups.stored('blocks/')).length).toBeLessThan(2 * blocks);

    for (const snapshotId of [first, second]) {
      const { proof } = await backups.result(await backups.proveTask(snapshotId));
      expect(proof).toMatchObject({ blocksSampled: expect.any(Number) });
      expect(proof!.blocksRead).toBeGreaterThan(3);
    }
    const { deletion } = await backups.result(await backups.deleteTask([first]));
    expect(deletion).toMatchObject({ deleted: [first], refused: [] });
    expect(deletion!.freedBytes).toBeGreaterThan(0);
    await expect(backups.failureOf(await backups.proveTask(first))).resolves.toMatchObject({ code: 'SNAPSHOT_MISSING' });
    await expect(backups.result(await backups.proveTask(second))).resolves.toMatchObject({ outcome: 'done' });
    const again = await backups.result(await backups.deleteTask([first, newObjectId()]));
    expect(again.deletion).toMatchObject({ deleted: [first, expect.any(String)], freedBytes: 0 });
    const last = await backups.result(await backups.deleteTask([second]));
    expect(last.deletion!.freedBytes).toBeGreaterThan(0);
    expect(await backups.stored()).toEqual([]);
    // The epoch begins anew when it is needed again, also with a parent that is gone.
    await taken(second);
  });

  it('are deleted also when their key is gone: what they used is freed with the last of them', async () => {
    await backups.startSet(1);
    const [first, second] = [await taken(), await taken()];
    backups.kms.disableKey(backups.keyId);
    await expect(backups.failureOf(await backups.proveTask(first))).resolves.toMatchObject({ code: 'KEY_REFUSED' });
    const one = await backups.result(await backups.deleteTask([first]));
    expect(one.deletion).toEqual({ deleted: [first], refused: [], freedBytes: null });
    expect(await backups.stored('manifests/')).toHaveLength(1);
    const withoutAccess = { ...(await backups.deleteTask([second])), keyAccess: null };
    const two = await backups.result(withoutAccess);
    expect(two.deletion!.freedBytes).toBeGreaterThan(0);
    expect(await backups.stored()).toEqual([]);
  });

  it('F59 that the store locks stay, with its words; what is left of others is freed when it lets go', async () => {
    await backups.startSet(1);
    const [first, second] = [await taken(), await taken()];
    backups.isLocked = (key) => key.endsWith(first) || key.includes('/blocks/');
    const locked = await backups.result(await backups.deleteTask([first, second]));
    expect(locked.deletion).toEqual({
      deleted: [second],
      refused: [{ snapshotId: first, reason: expect.stringMatching(/locked/) }],
      freedBytes: 0,
    });
    await expect(backups.result(await backups.proveTask(first))).resolves.toMatchObject({ outcome: 'done' });
    backups.isLocked = () => false;
    const freed = await backups.result(await backups.deleteTask([first]));
    expect(freed.deletion).toMatchObject({ deleted: [first], refused: [] });
    expect(freed.deletion!.freedBytes).toBeGreaterThan(0);
    expect(await backups.stored()).toEqual([]);
  });

  it('F57 F66 whose blocks are damaged or missing do not pass their proof, and nothing new is built upon them', async () => {
    await backups.startSet(1);
    const first = await taken();
    const store = await backups.openStore();
    const [key] = await backups.stored('blocks/');
    const sealed = (await store.get(key!))!;
    sealed[sealed.length - 1]! ^= 1;
    await store.put(key!, sealed);
    await expect(backups.failureOf(await backups.proveTask(first))).resolves.toMatchObject({ code: 'STORE_DAMAGED' });
    await store.delete([`epochs/${backups.epochId}/manifests/${first}`]);
    for (const block of await backups.stored('blocks/')) await store.delete([block]);
    await taken(first);
  });

  it('F63 are taken with credentials of the store that are rotated under way', async () => {
    const [before, after] = [
      { accessKeyId: 'AKIABEFORE', secretAccessKey: 'before-before' },
      { accessKeyId: 'AKIAAFTER', secretAccessKey: 'after-after-after' },
    ];
    const s3 = await DevelopmentS3.start('snapshots', [before]);
    try {
      const credentialsFile = join(backups.host.folder, 's3.json');
      await writeFile(credentialsFile, JSON.stringify(before), { mode: 0o600 });
      const file = SnapshotStoreFileSchema.parse({
        s3: { bucket: 'snapshots', prefix: 'atrest', endpoint: s3.endpoint, pathStyle: true, credentialsFile },
        threads: 1,
      });
      const settings = snapshotStoreOf(file, (path) => path);
      const held = Promise.withResolvers<void>();
      const reached = Promise.withResolvers<void>();
      const snapshotStore = {
        ...settings,
        open: async () => {
          const store = await settings.open();
          const put = store.put.bind(store);
          store.put = async (key, body, options) => {
            if (key.includes('/blocks/')) {
              reached.resolve();
              await held.promise;
            }
            return put(key, body, options);
          };
          return store;
        },
      };
      const [member] = await backups.startSet(1, { snapshotStore });
      expect(backups.host.controlPlane.reports.at(-1)!.snapshotStore).toBe('s3 snapshots/atrest');
      const task = await backups.takeTask(member!);
      backups.host.controlPlane.giveTask(task);
      await reached.promise;
      await writeFile(credentialsFile, JSON.stringify(after));
      s3.accept([after]);
      held.resolve();
      await expect(backups.host.controlPlane.resultOf(task.id)).resolves.toMatchObject({ outcome: 'done' });
      await writeFile(credentialsFile, 'spoilt');
      await expect(backups.result(await backups.takeTask(member!))).resolves.toMatchObject({ outcome: 'done' });
      await expect((await snapshotStoreOf(file, (path) => path).open()).get('a')).rejects.toThrow(StoreRefusedError);
      expect(JSON.stringify(backups.host.lines)).not.toMatch(/before-before|after-after/);
    } finally {
      await s3.close();
    }
  });

  it('with access control are taken by the agent’s own user, and nothing secret is in its log', async () => {
    const password = randomBytes(24).toString('base64url');
    const secret = {
      clusterId: newObjectId(),
      keyFile: randomBytes(750).toString('base64'),
      login: { kind: 'password', username: AGENT_USERNAME, password, authSource: 'admin' } as const,
      administrator: null,
      tls: null,
    };
    const [member] = await backups.startSet(1, {}, [], secret);
    for (const method of ['backupCursor', 'fsyncLock'] as const) {
      const task = await backups.takeTask(member!, { methods: [method] });
      const { taken: record, failure } = await backups.result(task);
      expect(failure).toBeUndefined();
      expect(record).toMatchObject({ method, memberState: 'PRIMARY', optime: { seconds: expect.any(Number) } });
      expect(record!.featureCompatibilityVersion).not.toBeNull();
    }
    const log = JSON.stringify(backups.host.lines);
    for (const text of [password, secret.keyFile, backups.credentials.secretAccessKey]) expect(log).not.toContain(text);
  });
});

describe('what an earlier life of the agent left', () => {
  it.each(['backupCursor', 'fsyncLock'] as const)('F48 a %s is given back by the next one as soon as it can ask', async (kind) => {
    const [member] = await backups.startSet(1);
    await backups.host.endAgent();
    const taskId = newObjectId();
    const admin = backups.host.client(backups.url).db('admin');
    if (kind === 'fsyncLock') await admin.command({ fsync: 1, lock: true });
    else await admin.command({ aggregate: 1, pipeline: [{ $backupCursor: {} }], cursor: {}, comment: `atrest ${taskId}` });
    const notes = join(backups.host.folder, 'state', 'holds');
    await mkdir(notes, { recursive: true });
    const note = { processId: member!.id, taskId, kind, stage: 'held', since: new Date().toISOString() };
    await writeFile(join(notes, `${member!.id}.json`), JSON.stringify(note));
    expect(await backups.holdsOf(member!)).not.toEqual(NOT_HELD);
    await backups.startAgent();
    await waitFor(async () => (await backups.holdsOf(member!)).cursors === 0 && !(await backups.holdsOf(member!)).locked, {
      describe: 'it to be given back',
    });
    await waitFor(
      () =>
        readFile(join(notes, `${member!.id}.json`)).then(
          () => false,
          () => true,
        ),
      { describe: 'the note to be gone' },
    );
    await taken();
  });
});

describe('the snapshot store of agent.yaml', () => {
  it('is a folder that is there, or a bucket; what cannot be right is refused by the name of the setting', async () => {
    await expect(folderStore('/nowhere/at/all').open()).rejects.toThrow(/does not exist. Is its volume mounted/);
    const parse = async (text: string) => {
      const path = join(backups.host.folder, 'store.yaml');
      await writeFile(path, text);
      return loadYaml(path, SnapshotStoreFileSchema);
    };
    await expect(parse('folder: /backups\nreadLimit: 1000')).rejects.toThrow(/readLimit/);
    await expect(parse('compress: true')).rejects.toThrow(/either a folder or s3/);
    await expect(parse('folder: /backups\ns3: { bucket: snapshots }')).rejects.toThrow(/either a folder or s3/);
    const s3 = snapshotStoreOf(await parse('s3: { bucket: snapshots, prefix: a/b }\nuploadLimit: 1000000'), (path) => path);
    expect(s3).toMatchObject({ description: 's3 snapshots/a/b', uploadLimit: 1_000_000, readLimit: null, compress: false });
  });
});

describe('a break-glass copy', () => {
  it('has what a server needs to start, and nothing of the process that wrote it', async () => {
    await backups.startSet(1);
    const snapshotId = await taken();
    const keys = await backups.keys();
    const store = await backups.openStore();
    const manifest = await readManifest(store, keys, snapshotId);
    const target = join(backups.host.folder, 'out');
    await restoreFiles({ store, keys, manifest, target, signal: new AbortController().signal });
    await expect(readFile(join(target, 'storage.bson'))).resolves.toBeInstanceOf(Buffer);
    for (const name of ['mongod.lock', 'WiredTiger.lock'])
      await expect(readFile(join(target, name))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
