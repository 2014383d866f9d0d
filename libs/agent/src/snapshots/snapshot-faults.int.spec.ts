import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { newObjectId } from '@atrest/contracts';
import { ObjectDamagedError, StoreFullError, StoreRefusedError, StoreUnavailableError } from '@atrest/snapshot-store';
import { waitFor } from '@atrest/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writable } from '../test-goals.contract.js';
import { NOT_HELD, TestBackups } from './test-backups.contract.js';

let backups: TestBackups;
beforeEach(async () => {
  backups = await TestBackups.open();
});
afterEach(() => backups.close());

const block = (call: string, key: string): boolean => call === 'put' && key.includes('/blocks/');
const manifest = (call: string, key: string): boolean => call === 'put' && key.includes('/manifests/');

/** No snapshot, nobody at work in the store, nothing held on the member. */
async function expectNothingLeft(member: { port: number }): Promise<void> {
  expect(await backups.stored('manifests/')).toEqual([]);
  expect(await backups.stored('writers/')).toEqual([]);
  expect(await backups.holdsOf(backups.goals.find((goal) => goal.port === member.port)!)).toEqual(NOT_HELD);
}

const said = (message: string): boolean => backups.host.lines.some((line) => line['msg'] === message);
const lost = () => waitFor(() => said('the member changed while it is copied'), { describe: 'the change to be seen' });

describe('a snapshot under way', () => {
  it('F41 goes on while the control plane cannot be reached, and its result arrives when it can again', async () => {
    const [member] = await backups.startSet(1);
    const held = backups.holdStore(block);
    const task = await backups.takeTask(member!);
    const { controlPlane } = backups.host;
    controlPlane.giveTask(task);
    await held.reached;
    await controlPlane.goDown();
    held.release();
    await waitFor(async () => (await backups.stored('manifests/')).length === 1, { describe: 'the snapshot' });
    controlPlane.reports.length = 0;
    await controlPlane.listen();
    await expect(controlPlane.resultOf(task.id)).resolves.toMatchObject({ outcome: 'done' });
    // The control plane did not hear of it and gives it out again: it is done once.
    const [before] = await backups.stored('manifests/');
    controlPlane.taskResults.length = 0;
    controlPlane.giveTask(task);
    await expect(controlPlane.resultOf(task.id)).resolves.toMatchObject({ outcome: 'done', taken: { completedAt: expect.any(String) } });
    expect(await backups.stored('manifests/')).toEqual([before]);
  });

  it('is named in every report with how far it is, never keeps an order waiting, and is what its member is held for', async () => {
    const [member] = await backups.startSet(1);
    const held = backups.holdStore(block);
    const task = await backups.takeTask(member!, { methods: ['fsyncLock'] });
    const { controlPlane } = backups.host;
    controlPlane.giveTask(task);
    await held.reached;
    const seen = await controlPlane.until('the member to be held', (processes) => processes.get(member!.id)?.heldForBackup !== undefined);
    expect(seen.get(member!.id)!.heldForBackup).toMatchObject({ kind: 'fsyncLock', taskId: task.id });
    await waitFor(() => controlPlane.reports.at(-1)?.tasks?.[0]?.progress.phase === 'copying', { describe: 'a report that names it' });
    const [named] = controlPlane.reports.at(-1)!.tasks!;
    expect(named).toMatchObject({ taskId: task.id, progress: { phase: 'copying' } });
    expect(named!.progress.filesTotal).toBeGreaterThan(3);
    controlPlane.giveTask({ id: newObjectId(), kind: 'tail-log', processId: member!.id, lines: 1 });
    await waitFor(() => controlPlane.taskResults.length === 1, { describe: 'the other task' });
    held.release();
    await expect(controlPlane.resultOf(task.id)).resolves.toMatchObject({ outcome: 'done', taken: { method: 'fsyncLock' } });
    await controlPlane.until('the member to be free', (processes) => processes.get(member!.id)?.heldForBackup === undefined);
    await waitFor(() => controlPlane.reports.at(-1)!.tasks?.length === 0, { describe: 'a report without it' });
  });

  it('F43 of a primary that steps down is given up, and leaves nothing', async () => {
    await backups.startSet(3);
    const member = await backups.primary();
    const held = backups.holdStore(block);
    const task = await backups.takeTask(member);
    backups.host.controlPlane.giveTask(task);
    await held.reached;
    const admin = backups.host.client(`mongodb://127.0.0.1:${member.port}/?directConnection=true`).db('admin');
    await admin.command({ replSetStepDown: 60, force: true }).catch(() => undefined);
    await lost();
    // Also while the store does not answer.
    await waitFor(async () => (await backups.holdsOf(member)).cursors === 0, { describe: 'the cursor to be closed' });
    held.release();
    const { failure } = await backups.host.controlPlane.resultOf(task.id);
    expect(failure).toMatchObject({ code: 'SOURCE_CHANGED', detail: expect.stringMatching(/it was PRIMARY|does not answer|elected/) });
    await expectNothingLeft(member);
  });

  it('F43 of a member that is stopped or started again is given up, and the next one succeeds', async () => {
    const [member] = await backups.startSet(1);
    const held = backups.holdStore(block);
    const task = await backups.takeTask(member!);
    backups.host.controlPlane.giveTask(task);
    await held.reached;
    process.kill(await backups.host.lockedPid(member!.dbPath), 'SIGKILL');
    await lost();
    held.release();
    const { failure } = await backups.host.controlPlane.resultOf(task.id);
    expect(failure).toMatchObject({ code: 'SOURCE_CHANGED' });
    await backups.host.controlPlane.until('the member to run again', writable(backups.goals));
    await expectNothingLeft(member!);
    await expect(backups.result(await backups.takeTask(member!))).resolves.toMatchObject({ outcome: 'done' });
  });

  it('F45 a collection that is dropped meanwhile is in it; a file that is gone ends it', async () => {
    const [member] = await backups.startSet(1);
    await backups.insert(0, 50);
    let held = backups.holdStore(block);
    const task = await backups.takeTask(member!);
    backups.host.controlPlane.giveTask(task);
    await held.reached;
    await backups.host.client(backups.url).db('shop').collection('orders').drop();
    held.release();
    await expect(backups.host.controlPlane.resultOf(task.id)).resolves.toMatchObject({ outcome: 'done' });

    await backups.insert(0, 50);
    held = backups.holdStore(block);
    const second = await backups.takeTask(member!);
    backups.host.controlPlane.giveTask(second);
    await held.reached;
    // Of all files the last in the order of their names, so that it is not open yet.
    await rm(join(member!.dbPath, 'storage.bson'));
    await rm(join(member!.dbPath, 'sizeStorer.wt'));
    held.release();
    const { failure } = await backups.host.controlPlane.resultOf(second.id);
    expect(failure).toMatchObject({ code: 'SOURCE_CHANGED', detail: expect.stringMatching(/disappeared/) });
    expect(await backups.stored('manifests/')).toHaveLength(1);
    expect(await backups.holdsOf(member!)).toEqual(NOT_HELD);
  });

  it('F48 waits for nobody: a cursor or a lock of somebody else is reported and left alone', async () => {
    const [member] = await backups.startSet(1);
    const admin = backups.host.client(backups.url).db('admin');
    const { cursor } = await admin.command({ aggregate: 1, pipeline: [{ $backupCursor: {} }], cursor: {} }, { promoteLongs: false });
    await expect(backups.failureOf(await backups.takeTask(member!))).resolves.toMatchObject({
      code: 'ALREADY_RUNNING',
      detail: expect.stringMatching(/\$backupCursor: .* fsyncLock: /),
    });
    const { controlPlane } = backups.host;
    const seen = await controlPlane.until('the cursor to be seen', (processes) => processes.get(member!.id)?.heldForBackup !== undefined);
    expect(seen.get(member!.id)!.heldForBackup).toMatchObject({ kind: 'backupCursor', taskId: null });
    await admin.command({ killCursors: '$cmd.aggregate', cursors: [cursor.id] });

    await admin.command({ fsync: 1, lock: true });
    await expect(backups.failureOf(await backups.takeTask(member!))).resolves.toMatchObject({ code: 'ALREADY_RUNNING' });
    expect(await backups.holdsOf(member!)).toEqual({ cursors: 0, locked: true });
    await admin.command({ fsyncUnlock: 1 });
    await controlPlane.until('nothing to be held', (processes) => processes.get(member!.id)?.heldForBackup === undefined);
    await expectNothingLeft(member!);
  });

  it.each([
    [new StoreFullError('The store has no space left.'), 'STORE_FULL'],
    [new StoreRefusedError('The bucket is locked.'), 'STORE_REFUSED'],
    [new StoreUnavailableError('The store does not answer.'), 'STORE_UNAVAILABLE'],
    [new ObjectDamagedError('epochs/x', 'it is cut'), 'NOT_PROVEN'],
  ])('F49 F55 F62 a store that fails ends it with its reason: %s', async (error, code) => {
    const [member] = await backups.startSet(1);
    let puts = 0;
    backups.beforeStore = (call, key) => {
      if (block(call, key) && ++puts === 3) throw error;
    };
    await expect(backups.failureOf(await backups.takeTask(member!))).resolves.toMatchObject({ code });
    await expectNothingLeft(member!);
  });

  it('F51 is the only one of its cluster: a second task is refused, the same task is not begun twice', async () => {
    const [first, second] = await backups.startSet(2);
    const held = backups.holdStore(block);
    const task = await backups.takeTask(first!);
    const { controlPlane } = backups.host;
    controlPlane.giveTask(task);
    await held.reached;
    controlPlane.giveTask(task);
    await expect(backups.failureOf(await backups.takeTask(second!))).resolves.toMatchObject({ code: 'ALREADY_RUNNING' });
    held.release();
    await expect(controlPlane.resultOf(task.id)).resolves.toMatchObject({ outcome: 'done' });
    expect(controlPlane.taskResults.filter(({ taskId }) => taskId === task.id)).toHaveLength(1);
  });

  it('F52 under a key that is disabled meanwhile fails as refused, with what the provider said, and is not kept', async () => {
    const [member] = await backups.startSet(1);
    const held = backups.holdStore(manifest);
    const task = await backups.takeTask(member!);
    backups.host.controlPlane.giveTask(task);
    await held.reached;
    backups.kms.disableKey(backups.keyId);
    held.release();
    const { failure } = await backups.host.controlPlane.resultOf(task.id);
    expect(failure).toMatchObject({ code: 'KEY_REFUSED', detail: expect.stringMatching(/unwrap.*KEY_DISABLED/) });
    await expectNothingLeft(member!);
    await expect(backups.failureOf(await backups.takeTask(member!))).resolves.toMatchObject({ code: 'KEY_REFUSED' });
  });

  it('F52 under a key that was changed, or with access made for other work, is not begun', async () => {
    const [member] = await backups.startSet(1);
    const other = { encryptionKeyId: 'arn:aws:kms:eu-central-1:111122223333:key/another' };
    await expect(backups.failureOf(await backups.takeTask(member!, {}, other))).resolves.toMatchObject({ code: 'KEY_CHANGED' });
    for (const wrong of [{ taskId: newObjectId() }, { projectId: newObjectId() }]) {
      await expect(backups.failureOf(await backups.takeTask(member!, {}, wrong))).resolves.toMatchObject({ code: 'KEY_CHANGED' });
    }
    const damaged = { keyAccess: 'a.b.c.d.e' };
    await expect(backups.failureOf(await backups.takeTask(member!, damaged))).resolves.toMatchObject({ code: 'KEY_CHANGED' });
    expect(await backups.stored()).toEqual([]);
    expect(backups.kms.calls({ operation: 'Encrypt' })).toEqual([]);
  });

  it('F53 F55 whose blocks were lost, or cannot be read back, is not called taken', async () => {
    const [member] = await backups.startSet(1);
    backups.beforeStore = async (call, key) => {
      if (!manifest(call, key)) return;
      const store = await backups.openStore();
      for await (const stored of store.list(`epochs/${backups.epochId}/blocks/`)) await store.delete([stored.key]);
    };
    await expect(backups.failureOf(await backups.takeTask(member!))).resolves.toMatchObject({ code: 'NOT_PROVEN' });
    await expectNothingLeft(member!);
  });

  it.each([
    ['before its epoch is begun', (call: string, key: string) => call === 'get' && key.endsWith('epoch.json')],
    ['while it copies', block],
    ['before its manifest is written', manifest],
    ['while it is proven', (call: string, key: string) => call === 'get' && key.includes('/blocks/')],
  ])('F54 cancelled %s leaves nothing behind', async (_when, matches) => {
    const [member] = await backups.startSet(1);
    for (const methods of [['backupCursor' as const], ['fsyncLock' as const]]) {
      const held = backups.holdStore(matches);
      const task = await backups.takeTask(member!, { methods });
      const { controlPlane } = backups.host;
      controlPlane.giveTask(task);
      await held.reached;
      controlPlane.cancelTask(task.id);
      await waitFor(() => backups.host.lines.some((line) => line['msg'] === 'a task is cancelled' && line['taskId'] === task.id), {
        describe: 'the cancellation to be taken',
      });
      held.release();
      await expect(controlPlane.resultOf(task.id)).resolves.toMatchObject({ outcome: 'failed', failure: { code: 'CANCELLED' } });
      await expectNothingLeft(member!);
    }
  });

  it('F54 a task that is cancelled before it came, or was of an earlier life, is over', async () => {
    await backups.startSet(1);
    const id = newObjectId();
    backups.host.controlPlane.cancelTask(id);
    await expect(backups.host.controlPlane.resultOf(id)).resolves.toMatchObject({ failure: { code: 'CANCELLED' } });
  });

  it('is ended and begun anew by the next life of an agent that was told to end', async () => {
    const [member] = await backups.startSet(1);
    const held = backups.holdStore(block);
    const task = await backups.takeTask(member!, { methods: ['fsyncLock'] });
    const { controlPlane } = backups.host;
    controlPlane.giveTask(task);
    await held.reached;
    const ended = backups.host.endAgent();
    held.release();
    await ended;
    await expectNothingLeft(member!);
    expect(controlPlane.taskResults).toEqual([]);
    backups.beforeStore = () => undefined;
    await backups.startAgent();
    await expect(backups.result(task)).resolves.toMatchObject({ outcome: 'done' });
  });
});

describe('a host', () => {
  it('without a snapshot store says so, in its reports and to every task', async () => {
    const [member] = await backups.startSet(1, { snapshotStore: null });
    expect(backups.host.controlPlane.reports.at(-1)!.snapshotStore).toBeNull();
    await expect(backups.failureOf(await backups.takeTask(member!))).resolves.toMatchObject({ code: 'NO_SNAPSHOT_STORE' });
  });

  it('does not copy what it does not run', async () => {
    const [member] = await backups.startSet(1);
    await expect(backups.failureOf(await backups.takeTask({ ...member!, id: newObjectId() }))).resolves.toMatchObject({
      code: 'NO_SOURCE',
    });
    await expect(backups.failureOf(await backups.takeTask(member!, { maxFiles: 3 }))).resolves.toMatchObject({
      code: 'TOO_MANY_FILES',
      detail: expect.stringMatching(/a snapshot may have 3/),
    });
    await expectNothingLeft(member!);
    await expect(backups.failureOf(await backups.takeTask(member!, { methods: ['stoppedMember'] }))).resolves.toMatchObject({
      code: 'NO_METHOD',
      detail: expect.stringMatching(/it is the primary/),
    });
  });
});
