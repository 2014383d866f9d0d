import {
  clusterDeleted,
  clusterDisabled,
  clusterEnabled,
  keyConfigurationRemoved,
  newObjectId,
  type ClusterSummary,
} from '@atrest/contracts';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { SnapshotCatalogService } from './snapshot-catalog.service.js';
import { restorability } from './snapshots/restorability.js';
import { DAY, HOUR, KEY_ID, MINUTE, progressAt, proofAt, Stage, START } from './test-support/stage.contract.js';

describe('the life of snapshots', () => {
  let stage: Stage;
  let service: SnapshotCatalogService;

  beforeAll(async () => {
    stage = await Stage.open('snapshot_life');
    service = await stage.replica();
  });
  afterAll(() => stage.close());
  beforeEach(() => stage.reset());

  const run = async (): Promise<void> => {
    await service.scheduler.runDue();
    await stage.settled();
  };
  const groom = async (): Promise<void> => {
    await service.groomer.run();
    await stage.settled();
  };
  const onDemand = async (projectId: string, body = {}) => {
    const outcome = await service.snapshots.take(projectId, 'orders', body);
    await stage.settled();
    if (outcome.kind !== 'done') throw new Error(outcome.refusal.code);
    return outcome.value.snapshot;
  };
  const list = async (projectId: string) => {
    const outcome = await service.snapshots.list(projectId, 'orders', { offset: 0, limit: 100 });
    if (outcome.kind !== 'done') throw new Error(outcome.refusal.code);
    return outcome.value;
  };

  it('a schedule queues a snapshot, an agent takes it, and it is listed with its key', async () => {
    const cluster = await stage.cluster({ encryptionAtRestProvider: 'AWS' });
    expect((await stage.healthEvents(cluster.id)).map(({ name }) => name)).toEqual(['paused']);
    await stage.key(cluster.projectId);
    expect((await stage.healthEvents(cluster.id)).map(({ name }) => name)).toEqual(['paused', 'resumed']);
    // 12:30 is the stage's time of day: the next one is six hours after the last.
    stage.clock.set(new Date('2026-11-23T12:30:00Z'));
    await run();
    const job = stage.job('take-snapshot');
    expect(job).toMatchObject({ provider: 'AWS', encryptionKeyId: KEY_ID, parentSnapshotId: null, preferredMember: null });
    expect(job.labels).toMatchObject({ clusterName: 'orders', snapshotType: 'scheduled', retentionUnit: 'days', retentionValue: 7 });
    await stage.say(job, {});
    await stage.say(job, { progress: progressAt(stage.clock.now(), 0.5) });
    stage.clock.advance(MINUTE);
    const id = await stage.taken();
    const { snapshots, total } = await list(cluster.projectId);
    expect(total).toBe(1);
    expect(snapshots[0]).toMatchObject({
      id,
      status: 'completed',
      snapshotType: 'scheduled',
      frequencyType: 'daily',
      encryptionKeyId: KEY_ID,
      createdAt: new Date('2026-11-23T12:31:00Z'),
      expiresAt: new Date('2026-11-30T12:31:00Z'),
    });
    expect(snapshots[0]?.policyItems).toHaveLength(2);
    expect(await stage.snapshotEventNames(cluster.id)).toEqual(['requested', 'started', 'progressed', 'completed']);
    expect(await stage.miscounts()).toEqual([]);
  });

  it('the next snapshot builds on the last one, on the same member; another key begins a new epoch', async () => {
    const cluster = await stage.cluster({ encryptionAtRestProvider: 'AWS' });
    const key = await stage.key(cluster.projectId);
    await onDemand(cluster.projectId);
    const first = await stage.taken();
    stage.clock.advance(MINUTE);
    await onDemand(cluster.projectId);
    expect(stage.job('take-snapshot')).toMatchObject({ parentSnapshotId: first, preferredMember: 'db1.example:27017' });
    const epochId = stage.job('take-snapshot').epochId;
    await stage.taken();
    await stage.key(cluster.projectId, { ...key, resolvedKeyId: `${KEY_ID}2`, epoch: 2, revision: 2 });
    stage.clock.advance(MINUTE);
    await onDemand(cluster.projectId);
    const next = stage.job('take-snapshot');
    expect(next).toMatchObject({ parentSnapshotId: null, preferredMember: null, encryptionKeyId: `${KEY_ID}2` });
    expect(next.epochId).not.toBe(epochId);
    await stage.taken();
    expect(await stage.miscounts()).toEqual([]);
  });

  it('F52 a key that changes while a snapshot is queued: it belongs to the epoch of the new one', async () => {
    const cluster = await stage.cluster({ encryptionAtRestProvider: 'AWS' });
    const key = await stage.key(cluster.projectId);
    await onDemand(cluster.projectId);
    stage.clock.set(new Date('2026-11-23T12:30:00Z'));
    await run();
    expect(stage.jobs).toHaveLength(1);
    await stage.key(cluster.projectId, { ...key, resolvedKeyId: `${KEY_ID}2`, epoch: 2, revision: 2 });
    await stage.failed('KEY_CHANGED');
    expect(stage.job('take-snapshot').encryptionKeyId).toBe(`${KEY_ID}2`);
    await stage.taken();
    await run();
    expect(stage.job('take-snapshot').encryptionKeyId).toBe(`${KEY_ID}2`);
    await stage.taken();
    expect(await stage.miscounts()).toEqual([]);
  });

  it('F51 never two at once: one on demand waits beside one of the schedule, and a second on demand is refused', async () => {
    const cluster = await stage.cluster();
    stage.clock.set(new Date('2026-11-23T12:30:00Z'));
    await run();
    stage.clock.advance(MINUTE);
    await onDemand(cluster.projectId);
    expect(stage.jobs).toHaveLength(1);
    expect(await service.snapshots.take(cluster.projectId, 'orders', {})).toMatchObject({
      refusal: { code: 'UNFINISHED_ON_DEMAND_SNAPSHOT' },
    });
    await stage.taken();
    expect(stage.jobs).toHaveLength(1);
    await stage.taken();
    expect((await list(cluster.projectId)).snapshots.map(({ snapshotType, status }) => [snapshotType, status])).toEqual([
      ['onDemand', 'completed'],
      ['scheduled', 'completed'],
    ]);
  });

  it('a run that comes while the last one still waits joins it: one snapshot serves both', async () => {
    const cluster = await stage.cluster();
    await onDemand(cluster.projectId);
    stage.clock.set(new Date('2026-11-23T12:30:00Z'));
    await run();
    stage.clock.set(new Date('2026-11-28T12:30:00Z'));
    await run();
    await stage.taken();
    await stage.taken();
    const { snapshots, total } = await list(cluster.projectId);
    expect(total).toBe(2);
    expect(snapshots[0]).toMatchObject({ frequencyType: 'weekly', retention: { unit: 'weeks', value: 4 } });
    expect(snapshots[0]?.policyItems).toHaveLength(3);
  });

  it('a failed snapshot is cleared from the store and tried again by policy, on another member', async () => {
    const cluster = await stage.cluster();
    await onDemand(cluster.projectId);
    const failed = await stage.failed('SOURCE_CHANGED');
    await groom();
    expect(await stage.cleared()).toEqual([failed]);
    stage.clock.advance(MINUTE);
    await run();
    const again = stage.job('take-snapshot');
    expect(again).toMatchObject({ avoidMember: 'db1.example:27017' });
    expect(again.snapshotId).not.toBe(failed);
    const events = await stage.snapshotEvents(cluster.id);
    expect(events.find(({ name }) => name === 'failed')?.data).toMatchObject({
      willRetry: true,
      attempt: 1,
      failure: { code: 'SOURCE_CHANGED' },
    });
    await stage.taken();
    expect((await list(cluster.projectId)).snapshots.map(({ status, attempt }) => [status, attempt])).toEqual([
      ['completed', 2],
      ['failed', 1],
    ]);
    await groom();
    expect(stage.jobs).toEqual([]);
  });

  it('where no method works that leaves a member running, one is stopped, and the snapshot says fallback', async () => {
    const cluster = await stage.cluster();
    stage.clock.set(new Date('2026-11-23T12:30:00Z'));
    await run();
    expect(stage.job('take-snapshot').methods).toEqual(['backupCursor', 'fsyncLock']);
    await stage.failed('NO_METHOD');
    stage.clock.advance(MINUTE);
    await run();
    expect(stage.job('take-snapshot').methods).toEqual(['stoppedMember']);
    await stage.taken({ method: 'stoppedMember' });
    expect((await list(cluster.projectId)).snapshots[0]).toMatchObject({ snapshotType: 'fallback', status: 'completed' });
  });

  it('after three attempts nobody tries again, and the cluster falls behind; the next success catches up', async () => {
    const cluster = await stage.cluster();
    stage.clock.set(new Date('2026-11-23T12:30:00Z'));
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      await run();
      await stage.failed('STORE_UNAVAILABLE');
      stage.clock.advance(HOUR);
    }
    await run();
    expect(stage.jobs).toEqual([]);
    stage.clock.set(new Date('2026-11-23T15:31:00Z'));
    await service.loops.watch();
    await service.loops.watch();
    expect((await stage.healthEvents(cluster.id)).map(({ name }) => name)).toEqual(['fell-behind']);
    stage.clock.set(new Date('2026-11-23T18:30:00Z'));
    await run();
    await stage.taken();
    const events = await stage.healthEvents(cluster.id);
    expect(events.map(({ name }) => name)).toEqual(['fell-behind', 'caught-up']);
    expect(events[0]?.data.behindSince).toBe('2026-11-23T12:30:00.000Z');
    expect(events[1]?.data.behindSince).toBeNull();
  });

  it('F54 a snapshot that is cancelled leaves nothing behind: queued, and while it is taken', async () => {
    const cluster = await stage.cluster();
    const running = await onDemand(cluster.projectId);
    const job = stage.job('take-snapshot');
    await stage.say(job, {});
    expect((await service.snapshots.cancel(cluster.projectId, 'orders', running.id)).kind).toBe('done');
    expect((await service.snapshots.cancel(cluster.projectId, 'orders', running.id)).kind).toBe('done');
    await stage.settled();
    expect(stage.cancelled).toEqual([job.id]);
    stage.clock.set(new Date('2026-11-23T12:30:00Z'));
    await run();
    const waiting = (await list(cluster.projectId)).snapshots[0]!;
    expect((await service.snapshots.cancel(cluster.projectId, 'orders', waiting.id)).kind).toBe('done');
    await stage.say(job, { status: 'FAILED', failure: { code: 'CANCELLED', detail: 'Cancelled.' } });
    expect((await list(cluster.projectId)).snapshots.map(({ failure }) => failure?.code)).toEqual(['CANCELLED', 'CANCELLED']);
    expect(await service.snapshots.cancel(cluster.projectId, 'orders', running.id)).toMatchObject({
      refusal: { code: 'SNAPSHOT_NOT_IN_PROGRESS' },
    });
    await groom();
    expect(await stage.cleared()).toEqual([running.id]);
    expect(stage.jobs).toEqual([]);
    expect(await stage.miscounts()).toEqual([]);
  });

  it('a disabled cluster: the schedule pauses with the reason, and goes on by itself with what it missed', async () => {
    let cluster = await stage.cluster();
    const disabledReason = {
      code: 'KEY_CONFIGURATION_INVALID' as const,
      keyConfigurationId: newObjectId(),
      provider: 'AWS' as const,
      keyId: KEY_ID,
      detail: 'KEY_DISABLED: the key is disabled.',
      since: START.toISOString(),
    };
    cluster = await stage.change(cluster, { state: 'DISABLED', disabledReason }, clusterDisabled);
    stage.clock.advance(2 * DAY);
    await run();
    expect(stage.jobs).toEqual([]);
    expect(await service.snapshots.take(cluster.projectId, 'orders', {})).toMatchObject({ refusal: { code: 'CLUSTER_CANNOT_BE_COPIED' } });
    const shown = await service.schedules.read(cluster.projectId, 'orders', 'https://x');
    expect(shown).toMatchObject({
      value: { selfManaged: { paused: { reason: 'The cluster is disabled: KEY_DISABLED: the key is disabled.' } } },
    });
    cluster = await stage.change(cluster, { state: 'IDLE', disabledReason: null }, clusterEnabled);
    await run();
    expect(stage.jobs).toHaveLength(1);
    await stage.taken();
    await run();
    expect(stage.jobs).toEqual([]);
    const events = await stage.healthEvents(cluster.id);
    expect(events.map(({ name }) => name)).toEqual(['paused', 'resumed']);
    expect(events[0]?.data.paused?.reason).toContain('KEY_DISABLED');
  });

  it('a key configuration that is removed while the cluster uses it: the schedule pauses until there is another one', async () => {
    const cluster = await stage.cluster({ encryptionAtRestProvider: 'AWS' });
    const key = await stage.key(cluster.projectId);
    await stage.key(cluster.projectId, { ...key, enabled: false, revision: 2 }, keyConfigurationRemoved);
    stage.clock.set(new Date('2026-11-23T12:30:00Z'));
    await run();
    await run();
    expect(stage.jobs).toEqual([]);
    const pauses = (await stage.healthEvents(cluster.id)).map(({ name, data }) => [name, data.paused?.reason]);
    expect(pauses.at(-1)).toEqual(['paused', expect.stringContaining('no key configuration')]);
    stage.clock.advance(HOUR);
    await stage.key(cluster.projectId);
    await run();
    expect(stage.jobs).toHaveLength(1);
    await stage.taken();
    expect((await stage.healthEvents(cluster.id)).at(-1)?.name).toBe('resumed');
  });

  it('a cluster that is disabled in the middle: the run is taken when it goes on', async () => {
    const cluster = await stage.cluster();
    stage.clock.set(new Date('2026-11-23T12:30:00Z'));
    await run();
    await stage.failed('CLUSTER_DISABLED');
    stage.clock.advance(MINUTE);
    await run();
    expect(stage.job('take-snapshot').labels).toMatchObject({ snapshotType: 'scheduled' });
    await stage.taken();
    expect((await list(cluster.projectId)).snapshots.map(({ status }) => status)).toEqual(['completed', 'failed']);
  });

  it('retention deletes in time, and never the last good one', async () => {
    const cluster = await stage.cluster();
    await onDemand(cluster.projectId, { retentionInDays: 1 });
    const first = await stage.taken();
    stage.clock.advance(HOUR);
    await onDemand(cluster.projectId, { retentionInDays: 1 });
    const last = await stage.taken();
    stage.clock.advance(2 * DAY);
    await groom();
    expect((await list(cluster.projectId)).snapshots.map(({ id }) => id)).toEqual([last]);
    expect(await stage.cleared()).toEqual([first]);
    await groom();
    expect(stage.jobs).toEqual([]);
    const events = await stage.snapshotEvents(cluster.id);
    expect(events.at(-1)).toMatchObject({ name: 'deleted', data: { id: first, status: 'completed' } });
    // Its owner may.
    await service.snapshots.delete(cluster.projectId, 'orders', last);
    await groom();
    expect(await stage.cleared()).toEqual([last]);
    expect(await stage.miscounts()).toEqual([]);
  });

  it('a deletion waits for a snapshot that is being built on what it deletes', async () => {
    const cluster = await stage.cluster();
    await onDemand(cluster.projectId);
    const parent = await stage.taken();
    stage.clock.advance(MINUTE);
    await onDemand(cluster.projectId);
    expect(stage.job('take-snapshot').parentSnapshotId).toBe(parent);
    await service.snapshots.delete(cluster.projectId, 'orders', parent);
    await groom();
    expect(stage.jobs.map(({ kind }) => kind)).toEqual(['take-snapshot']);
    await stage.taken();
    await groom();
    expect(await stage.cleared({ freedBytes: null })).toEqual([parent]);
    // Nothing was freed: another collection follows.
    stage.clock.advance(11 * MINUTE);
    await groom();
    expect(await stage.cleared()).toEqual([]);
    await groom();
    expect(stage.jobs).toEqual([]);
  });

  it('F59 what the store does not let go is tried again later', async () => {
    const cluster = await stage.cluster();
    await onDemand(cluster.projectId);
    const id = await stage.taken();
    await service.snapshots.delete(cluster.projectId, 'orders', id);
    await groom();
    await stage.cleared({ refused: [id] });
    await groom();
    expect(stage.jobs).toEqual([]);
    stage.clock.advance(DAY + MINUTE);
    await groom();
    await stage.say(stage.job('delete-snapshots'), { status: 'FAILED', failure: { code: 'STORE_UNAVAILABLE', detail: 'No answer.' } });
    await groom();
    expect(stage.jobs).toEqual([]);
    stage.clock.advance(DAY);
    await groom();
    expect(await stage.cleared()).toEqual([id]);
  });

  it('a deleted cluster takes its snapshots along, unless they are to be kept', async () => {
    const cluster = await stage.cluster();
    await onDemand(cluster.projectId);
    const done = await stage.taken();
    stage.clock.advance(MINUTE);
    await onDemand(cluster.projectId);
    const running = stage.job('take-snapshot');
    await stage.say(running, {});
    await stage.change(cluster, { deletedAt: stage.clock.now().toISOString() }, clusterDeleted);
    await groom();
    expect(stage.cancelled).toEqual([running.id]);
    expect(await service.snapshots.list(cluster.projectId, 'orders', { offset: 0, limit: 10 })).toMatchObject({
      refusal: { code: 'CLUSTER_NOT_FOUND' },
    });
    // The running one is built on the other: nothing is deleted before its end.
    expect(stage.jobs.map(({ kind }) => kind)).toEqual(['take-snapshot']);
    // The agent had finished before it heard of the cancellation: what it made is cleared as well.
    await stage.taken();
    await groom();
    expect(await stage.cleared()).toEqual([done, running.snapshotId]);
    expect(await stage.miscounts()).toEqual([]);

    const kept = await stage.cluster({ retainBackups: true });
    await onDemand(kept.projectId);
    const id = await stage.taken();
    await stage.change(kept, { deletedAt: stage.clock.now().toISOString() }, clusterDeleted);
    await groom();
    expect((await list(kept.projectId)).snapshots.map((one) => one.id)).toEqual([id]);
    expect(await service.snapshots.take(kept.projectId, 'orders', {})).toMatchObject({ refusal: { code: 'CLUSTER_NOT_FOUND' } });
    expect(stage.jobs).toEqual([]);
  });

  it('backup that is turned off and on again: what was taken before goes, what is taken after stays', async () => {
    let cluster = await stage.cluster();
    await onDemand(cluster.projectId);
    const before = await stage.taken();
    stage.clock.advance(MINUTE);
    cluster = await stage.change(cluster, { backupEnabled: false });
    expect(await service.snapshots.take(cluster.projectId, 'orders', {})).toMatchObject({ refusal: { code: 'BACKUP_JOB_NOT_FOUND' } });
    stage.clock.advance(MINUTE);
    cluster = await stage.change(cluster, { backupEnabled: true });
    await onDemand(cluster.projectId);
    const after = await stage.taken();
    await groom();
    expect((await list(cluster.projectId)).snapshots.map(({ id }) => id)).toEqual([after]);
    expect(await stage.cleared()).toEqual([before]);
  });

  it('a daily sample proves the snapshot whose proof is the oldest', async () => {
    const cluster = await stage.cluster();
    await onDemand(cluster.projectId, { retentionInDays: 30 });
    const oldest = await stage.taken();
    stage.clock.advance(HOUR);
    await onDemand(cluster.projectId, { retentionInDays: 30 });
    const newer = await stage.taken();
    const prove = async () => {
      stage.clock.advance(DAY + HOUR);
      await service.proofs.runDue();
      await service.proofs.runDue();
      await stage.settled();
    };
    await prove();
    expect(stage.jobs).toHaveLength(1);
    expect(stage.job('prove-snapshot').snapshotId).toBe(oldest);
    await stage.say(stage.job('prove-snapshot'), { status: 'DONE', result: { proof: proofAt(stage.clock.now()) } });
    await prove();
    expect(stage.job('prove-snapshot').snapshotId).toBe(newer);
    await stage.say(stage.job('prove-snapshot'), { status: 'DONE', result: { proof: proofAt(stage.clock.now()) } });
    expect((await stage.snapshotEventNames(cluster.id)).filter((name) => name === 'proven')).toHaveLength(2);
    expect((await stage.healthEvents(cluster.id)).map(({ name }) => name)).toEqual([]);
  });

  it('F66 the catalogue says completed, the store has lost it: the proof fails, and nobody calls it restorable', async () => {
    const cluster = await stage.cluster();
    await onDemand(cluster.projectId, { retentionInDays: 30 });
    const good = await stage.taken();
    stage.clock.advance(HOUR);
    await onDemand(cluster.projectId, { retentionInDays: 30 });
    const lost = await stage.taken();
    await stage.database.query(`UPDATE snapshot SET last_proven_at = $2 WHERE id = $1`, [lost, START]);
    stage.clock.advance(DAY + HOUR);
    await service.proofs.runDue();
    await stage.settled();
    const job = stage.job('prove-snapshot');
    const failure = { code: 'SNAPSHOT_MISSING', detail: 'The store has no manifest of it.' } as const;
    await stage.say(job, { status: 'FAILED', failure });
    const { snapshots } = await list(cluster.projectId);
    const broken = snapshots.find(({ id }) => id === job.snapshotId);
    expect(broken?.proofFailure).toEqual(failure);
    expect(restorability(broken!, [])).toEqual({ kind: 'NEVER', reason: failure.detail });
    const events = await stage.snapshotEvents(cluster.id);
    expect(events.at(-1)).toMatchObject({ name: 'proof-failed', data: { status: 'completed', proofFailure: failure } });
    // The next one is not built on it, and the last good one is the other.
    const other = [good, lost].find((id) => id !== job.snapshotId);
    const [backup] = await stage.database.query<{ last: string }>(
      'SELECT last_snapshot_id AS last FROM cluster_backup WHERE cluster_id = $1',
      [cluster.id],
    );
    expect(backup?.last).toBe(other);
    await onDemand(cluster.projectId);
    expect(stage.job('take-snapshot').parentSnapshotId).toBe(other);
    await stage.taken();
  });

  it('proofs that cannot be made for days are told of, once', async () => {
    const cluster = await stage.cluster();
    await onDemand(cluster.projectId, { retentionInDays: 30 });
    await stage.taken();
    for (let hour = 0; hour < 5; hour += 1) {
      stage.clock.advance(DAY);
      await service.proofs.runDue();
      await stage.settled();
      await stage.say(stage.job('prove-snapshot'), { status: 'FAILED', failure: { code: 'NO_SNAPSHOT_STORE', detail: 'None.' } });
    }
    expect((await stage.healthEvents(cluster.id)).map(({ name }) => name)).toEqual(['proof-overdue']);
    expect((await stage.snapshotEventNames(cluster.id)).at(-1)).toBe('completed');
  });

  describe('of a sharded cluster', () => {
    let cluster: ClusterSummary;
    beforeEach(async () => {
      cluster = await stage.cluster({ clusterType: 'SHARDED' });
    });
    it('is one snapshot with a part for each replica set; the next one is built on its parts, and all are proven and deleted together', async () => {
      await onDemand(cluster.projectId);
      const divided = await stage.divided();
      const id = await stage.takenInParts(divided);
      const [snapshot] = (await list(cluster.projectId)).snapshots;
      expect(snapshot).toMatchObject({ status: 'completed', replicaSet: null, taken: { cut: { increment: 7 } } });
      expect(snapshot?.parts?.map(({ replicaSet, taken }) => [replicaSet, taken?.topology.replicaSet])).toEqual([
        ['cfg', 'cfg'],
        ['s1', 's1'],
        ['s2', 's2'],
      ]);
      expect((await stage.snapshotEvents(cluster.id)).at(-1)?.data.parts).toHaveLength(3);
      const ids = divided.map(({ snapshotId }) => snapshotId);

      await onDemand(cluster.projectId);
      expect(stage.job('take-snapshot')).toMatchObject({
        parentSnapshotId: id,
        parentParts: divided.map(({ replicaSet, snapshotId, member }) => ({ replicaSet, snapshotId, member })),
      });
      await stage.failed('CANCELLED');

      stage.clock.advance(DAY);
      await service.proofs.runDue();
      await stage.settled();
      expect(stage.job('prove-snapshot')).toMatchObject({ snapshotId: id, partIds: ids });
      await stage.say(stage.job('prove-snapshot'), { status: 'DONE', result: { proof: proofAt(stage.clock.now()) } });

      expect(await service.snapshots.delete(cluster.projectId, 'orders', id)).toMatchObject({ kind: 'done' });
      await groom();
      expect(stage.job('delete-snapshots').snapshotIds).toEqual(expect.arrayContaining([id, ...ids]));
      // One part is locked in the store: the others wait for it.
      await stage.cleared({ refused: [ids[1]!] });
      stage.clock.advance(2 * DAY);
      await service.groomer.run();
      await stage.settled();
      expect(await stage.cleared()).toEqual(expect.arrayContaining(ids));
      stage.clock.advance(2 * DAY);
      await service.groomer.run();
      await stage.settled();
      expect(stage.jobs.filter(({ kind }) => kind === 'delete-snapshots')).toEqual([]);
      expect(await stage.miscounts()).toEqual([]);
    });

    it('that failed leaves no part in the store, is tried again with other parts, and never by stopping a member', async () => {
      await onDemand(cluster.projectId);
      const divided = await stage.divided();
      await stage.failed('NOT_CUT');
      await service.groomer.run();
      await stage.settled();
      const cleared = await stage.cleared();
      expect(cleared).toEqual(expect.arrayContaining(divided.map(({ snapshotId }) => snapshotId)));
      stage.clock.advance(5 * MINUTE);
      await service.scheduler.runDue();
      await stage.settled();
      await stage.failed('NO_METHOD');
      stage.clock.advance(HOUR / 4);
      await service.scheduler.runDue();
      await stage.settled();
      expect(stage.jobs.filter(({ kind }) => kind === 'take-snapshot')).toEqual([]);
      expect((await stage.snapshotEvents(cluster.id)).at(-1)?.data).toMatchObject({
        status: 'failed',
        attempt: 2,
        willRetry: false,
        failure: { code: 'NO_METHOD' },
      });
    });
  });
});
