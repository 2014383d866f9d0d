import { newObjectId, type BackupJob, type SnapshotTaken } from '@atrest/contracts';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { SnapshotCatalogService } from '../snapshot-catalog.service.js';
import { DAY, HOUR, KEY_ID, proofAt, Stage, START, takenBy } from '../test-support/stage.contract.js';
import { importCatalogue } from './import-catalogue.js';

type TakeJob = Extract<BackupJob, { kind: 'take-snapshot' }>;

describe('F65 the catalogue is lost', () => {
  let stage: Stage;
  let service: SnapshotCatalogService;

  beforeAll(async () => {
    stage = await Stage.open('catalogue_import');
    service = await stage.replica();
  });
  afterAll(() => stage.close());
  beforeEach(() => stage.reset());

  /** As `atrest-store rebuild-catalog` writes it of what an agent stored for a job. */
  const lineOf = (job: TakeJob, taken: SnapshotTaken | null, completedAt = taken?.completedAt): string => {
    const { snapshotId, epochId, projectId, clusterId, labels } = job;
    const line = { snapshotId, epochId, projectId, clusterId, encryptionKeyId: job.encryptionKeyId ?? 'Not enabled', completedAt, labels };
    if (taken === null) return JSON.stringify({ ...line, proven: false });
    const { files, bytes, storedBytes } = taken;
    return JSON.stringify({ ...line, proven: true, files, bytes, storedBytes, source: { ...taken, files: 0, bytes: 0, storedBytes: 0 } });
  };

  const take = async (projectId: string, body = {}): Promise<{ job: TakeJob; taken: SnapshotTaken }> => {
    await service.snapshots.take(projectId, 'orders', body);
    await stage.settled();
    const job = stage.job('take-snapshot');
    const taken = takenBy(stage.clock.now(), job);
    await stage.taken();
    return { job, taken };
  };

  const list = async (projectId: string) => {
    const outcome = await service.snapshots.list(projectId, 'orders', { offset: 0, limit: 100 });
    return outcome.kind === 'done' ? outcome.value.snapshots : [];
  };

  it('and is rebuilt from the store: once, however often, and with what is needed to go on', async () => {
    const cluster = await stage.cluster({ encryptionAtRestProvider: 'AWS' });
    const key = await stage.key(cluster.projectId);
    const first = await take(cluster.projectId, { description: 'before the release', retentionInDays: 30 });
    stage.clock.set(new Date(START.getTime() + 30 * 60_000));
    await service.scheduler.runDue();
    await stage.settled();
    const scheduled = stage.job('take-snapshot');
    const second = { job: scheduled, taken: takenBy(stage.clock.now(), scheduled) };
    await stage.taken();
    const before = await list(cluster.projectId);

    await stage.reset();
    await stage.cluster(cluster);
    await stage.key(cluster.projectId, key);
    stage.clock.set(new Date(START.getTime() + 2 * HOUR));
    const lines = [lineOf(first.job, first.taken), '', lineOf(second.job, second.taken)];
    expect(await importCatalogue(stage.database, lines, stage.clock)).toEqual({ imported: 2, known: 0, problems: [] });
    expect(await importCatalogue(stage.database, lines, stage.clock)).toEqual({ imported: 0, known: 2, problems: [] });
    await stage.settled();

    const rebuilt = await list(cluster.projectId);
    const told = [
      'id',
      'status',
      'snapshotType',
      'frequencyType',
      'policyItems',
      'description',
      'encryptionKeyId',
      'createdAt',
      'expiresAt',
      'taken',
      'epochId',
    ] as const;
    const shown = (snapshots: typeof before) => snapshots.map((snapshot) => told.map((field) => snapshot[field]));
    expect(shown(rebuilt)).toEqual(shown(before));
    expect(rebuilt[0]?.encryptionKeyId).toBe(KEY_ID);
    expect(await stage.miscounts()).toEqual([]);
    // Others take it for news, although they had heard of these snapshots before.
    expect(rebuilt[0]!.revision).toBeGreaterThan(before[0]!.revision);

    // It is proven first of all, its retention counts, and a deletion reaches the store.
    await service.proofs.runDue();
    await stage.settled();
    const proof = stage.job('prove-snapshot');
    await stage.say(proof, { status: 'DONE', result: { proof: proofAt(stage.clock.now()) } });
    expect((await list(cluster.projectId)).find(({ id }) => id === proof.snapshotId)?.lastProof).not.toBeNull();
    stage.clock.advance(31 * DAY);
    await service.groomer.run();
    await stage.settled();
    // The newest one is the last good one.
    expect((await list(cluster.projectId)).map(({ id }) => id)).toEqual([second.job.snapshotId]);
    expect(await stage.cleared()).toEqual([first.job.snapshotId]);
    // Nothing comes back that was deleted.
    expect(await importCatalogue(stage.database, lines, stage.clock)).toMatchObject({ imported: 0 });
  });

  it('a snapshot of a sharded cluster is put together from its parts, and is none while one of them is missing', async () => {
    const cluster = await stage.cluster({ clusterType: 'SHARDED' });
    await service.snapshots.take(cluster.projectId, 'orders', {});
    await stage.settled();
    const job = stage.job('take-snapshot');
    const parts = await stage.divided();
    await stage.takenInParts(parts);
    const [before] = await list(cluster.projectId);
    const lines = before!.parts!.map(({ snapshotId, replicaSet, role, taken }) =>
      lineOf({ ...job, snapshotId, labels: { ...job.labels, replicaSet, role, partOf: job.snapshotId, parts: 3 } }, taken),
    );
    await stage.reset();
    await stage.cluster(cluster);
    const report = await importCatalogue(stage.database, lines.slice(1), stage.clock);
    expect(report).toMatchObject({ imported: 0, problems: [{ line: 1, detail: expect.stringContaining('2 of its 3 parts') }] });
    expect(await importCatalogue(stage.database, lines, stage.clock)).toEqual({ imported: 1, known: 0, problems: [] });
    const [rebuilt] = await list(cluster.projectId);
    expect(rebuilt).toMatchObject({ id: job.snapshotId, replicaSet: null, createdAt: before!.createdAt, parts: before!.parts });
    expect(rebuilt?.taken).toMatchObject({ cut: before!.taken!.cut, topology: { replicaSet: null } });
  });

  it('a snapshot whose key does not open is listed all the same, by its labels', async () => {
    const cluster = await stage.cluster();
    const { job, taken } = await take(cluster.projectId);
    await stage.reset();
    await stage.cluster(cluster);
    const other = { ...job, snapshotId: newObjectId(START), labels: { clusterName: 'orders', somethingNew: 1 } };
    const lines = [lineOf(job, null, taken.completedAt), lineOf(other, null, taken.completedAt)];
    expect(await importCatalogue(stage.database, lines, stage.clock)).toMatchObject({ imported: 2, problems: [] });
    const snapshots = await list(cluster.projectId);
    expect(snapshots.find(({ id }) => id === job.snapshotId)).toMatchObject({
      status: 'completed',
      taken: null,
      retention: { unit: 'days', value: 7 },
    });
    expect(snapshots.find(({ id }) => id === other.snapshotId)?.retention).toEqual({ unit: 'days', value: 365 });
    expect(await stage.miscounts()).toEqual([]);
  });

  it('what is no line of a catalogue is said with its number, and the others are imported', async () => {
    const cluster = await stage.cluster();
    const { job, taken } = await take(cluster.projectId);
    await stage.database.query('DELETE FROM snapshot');
    const lines = ['{', JSON.stringify({ snapshotId: 'x' }), lineOf(job, taken)];
    const report = await importCatalogue(stage.database, lines, stage.clock);
    expect(report).toMatchObject({ imported: 1, known: 0, problems: [{ line: 1, detail: 'it is not JSON' }, { line: 2 }] });
    expect(report.problems[1]?.detail).toContain('snapshotId');
  });
});
