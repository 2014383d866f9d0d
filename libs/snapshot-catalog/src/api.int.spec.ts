import { BackupScheduleViewSchema, newObjectId, SnapshotViewSchema, type ClusterSummary, type Role } from '@atrest/contracts';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { masterKeyUUID } from './key-usage/master-key-uuid.js';
import type { SnapshotCatalogService } from './snapshot-catalog.service.js';
import { Api, type ApiAnswer } from './test-support/api.contract.js';
import { DAY, KEY_ID, MINUTE, progressAt, Stage } from './test-support/stage.contract.js';

describe('the backup API of a cluster', () => {
  let stage: Stage;
  let service: SnapshotCatalogService;
  let api: Api;
  let cluster: ClusterSummary;
  let manager: string;

  beforeAll(async () => {
    stage = await Stage.open('snapshot_api');
    service = await stage.replica();
    api = await Api.open(stage, service);
  });
  afterAll(async () => {
    await api.close();
    await stage.close();
  });
  beforeEach(async () => {
    await stage.reset();
    cluster = await stage.cluster();
    manager = await api.tokenFor('GROUP_BACKUP_MANAGER', cluster.projectId);
  });

  const call = async (method: string, path: string, body?: unknown, token = manager): Promise<ApiAnswer> => {
    const answer = await api.request(method, `/groups/${cluster.projectId}/clusters/orders/backup${path}`, {
      token,
      ...(body !== undefined && { body }),
    });
    await stage.settled();
    return answer;
  };
  const code = ({ status, body }: ApiAnswer): unknown[] => [status, body.errorCode];
  const take = async (body: object = {}) => SnapshotViewSchema.parse((await call('POST', '/snapshots', body)).body);

  it('a snapshot on demand goes from queued to completed as Atlas shows it', async () => {
    const queued = await call('POST', '/snapshots', { description: 'before the release', retentionInDays: 3 });
    expect(queued.status).toBe(200);
    expect(SnapshotViewSchema.parse(queued.body)).toMatchObject({
      status: 'queued',
      snapshotType: 'onDemand',
      frequencyType: 'ondemand',
      type: 'replicaSet',
      replicaSetName: 'rs0',
      description: 'before the release',
      expiresAt: '2026-11-26T12:00:00Z',
      storageSizeBytes: 0,
      copyRegions: [],
      policyItems: [],
      selfManaged: { encryptionKeyId: 'Not enabled', restorable: { kind: 'NOT_NOW' } },
    });
    for (const absent of ['createdAt', 'mongodVersion', 'masterKeyUUID', 'cloudProvider']) expect(queued.body).not.toHaveProperty(absent);
    const path = `/snapshots/${queued.body.id}`;
    await stage.say(stage.job('take-snapshot'), { progress: progressAt(stage.clock.now(), 0.25) });
    expect(SnapshotViewSchema.parse((await call('GET', path)).body)).toMatchObject({
      status: 'inProgress',
      selfManaged: { progress: { percent: 25, bytesPerSecond: 100_000, secondsLeft: 9 } },
    });
    stage.clock.advance(10 * MINUTE);
    await stage.taken();
    const { body } = await call('GET', path);
    expect(SnapshotViewSchema.parse(body)).toMatchObject({
      status: 'completed',
      createdAt: '2026-11-23T12:10:00Z',
      // Counted anew, from the completion.
      expiresAt: '2026-11-26T12:10:00Z',
      mongodVersion: '8.0.4',
      storageSizeBytes: 1_000_000,
      selfManaged: {
        method: 'backupCursor',
        member: 'db1.example:27017',
        lastProvenAt: '2026-11-23T12:10:00Z',
        restorable: { kind: 'YES' },
      },
    });
    expect(body.links[0]).toEqual({ rel: 'self', href: expect.stringMatching(/\/clusters\/orders\/backup\/snapshots\/[\da-f]{24}$/) });
    const list = await call('GET', '/snapshots');
    expect(list.body).toMatchObject({ totalCount: 1, results: [{ id: queued.body.id }] });
  });

  it('an encrypted one has a masterKeyUUID, its encryption key id, and says whether its key opens it', async () => {
    cluster = await stage.cluster({ encryptionAtRestProvider: 'AWS' });
    manager = await api.tokenFor('GROUP_OWNER', cluster.projectId);
    const key = await stage.key(cluster.projectId);
    await take();
    const id = await stage.taken();
    const shown = async () => SnapshotViewSchema.parse((await call('GET', `/snapshots/${id}`)).body);
    expect(await shown()).toMatchObject({
      masterKeyUUID: masterKeyUUID('AWS', KEY_ID),
      selfManaged: { encryptionKeyId: KEY_ID, encryptionKeyVersion: '1', provider: 'AWS', restorable: { kind: 'YES' } },
    });
    const evidence = {
      verdict: 'definitive',
      errorName: null,
      message: null,
      httpStatus: null,
      requestId: null,
      at: key.lastProvenAt!,
      observer: 'x',
    } as const;
    await stage.key(cluster.projectId, { ...key, state: 'INVALID', evidence: [{ ...evidence, reason: 'KEY_DISABLED' }], revision: 2 });
    expect((await shown()).selfManaged.restorable.kind).toBe('NOT_NOW');
    await stage.key(cluster.projectId, { ...key, state: 'INVALID', evidence: [{ ...evidence, reason: 'KEY_NOT_FOUND' }], revision: 3 });
    expect((await shown()).selfManaged.restorable.kind).toBe('NEVER');
  });

  it('finds the snapshot that is the nearest before a moment, or before an optime', async () => {
    const ids: string[] = [];
    for (let step = 0; step < 3; step += 1) {
      await take();
      ids.push(await stage.taken());
      stage.clock.advance(10 * MINUTE);
    }
    const noon = Date.parse('2026-11-23T12:00:00Z') / 1_000;
    const found = async (query: string) => (await call('GET', `/snapshots?${query}`)).body.results.map(({ id }: { id: string }) => id);
    expect(await found(`pointInTimeUtcSeconds=${noon + 599}`)).toEqual([ids[0]]);
    expect(await found(`pointInTimeUtcSeconds=${noon + 600}`)).toEqual([ids[1]]);
    expect(await found(`pointInTimeUtcSeconds=${noon - 1}`)).toEqual([]);
    expect(await found(`oplogTs=${noon + 1_200}&oplogInc=2`)).toEqual([ids[1]]);
    expect(await found(`oplogTs=${noon + 1_200}&oplogInc=3`)).toEqual([ids[2]]);
    expect(code(await call('GET', `/snapshots?oplogTs=${noon}`))).toEqual([400, 'INVALID_QUERY_PARAMETER']);
    expect(code(await call('GET', `/snapshots?oplogTs=${noon}&oplogInc=1&pointInTimeUtcSeconds=${noon}`))).toEqual([
      400,
      'INVALID_QUERY_PARAMETER',
    ]);
    const second = await call('GET', '/snapshots?itemsPerPage=1&pageNum=2');
    expect(second.body).toMatchObject({ totalCount: 3, results: [{ id: ids[1] }] });
  });

  it('changes the retention, deletes and cancels, each only when that makes sense', async () => {
    const { id } = await take({ retentionInDays: 1 });
    const week = { retentionUnit: 'WEEKS', retentionValue: 1 };
    expect(code(await call('PATCH', `/snapshots/${id}`, week))).toEqual([400, 'CANNOT_MODIFY_IN_PROGRESS_SNAPSHOT_RETENTION']);
    expect(code(await call('DELETE', `/snapshots/${id}`))).toEqual([400, 'CANNOT_DELETE_IN_PROGRESS_SNAPSHOT']);
    expect(code(await call('POST', '/snapshots', {}))).toEqual([400, 'UNFINISHED_ON_DEMAND_SNAPSHOT']);
    await stage.taken();
    expect(code(await call('POST', `/snapshots/${id}:cancel`))).toEqual([409, 'SNAPSHOT_NOT_IN_PROGRESS']);
    expect(code(await call('PATCH', `/snapshots/${id}`, { ...week, retentionValue: 0 }))).toEqual([
      400,
      'BACKUP_SNAPSHOT_RETENTION_VALUE_INVALID',
    ]);
    expect(code(await call('PATCH', `/snapshots/${id}`, { ...week, retentionValue: 9_999 }))).toEqual([
      400,
      'BACKUP_SNAPSHOT_RETENTION_VALUE_INVALID',
    ]);
    expect(SnapshotViewSchema.parse((await call('PATCH', `/snapshots/${id}`, week)).body).expiresAt).toBe('2026-11-30T12:00:00Z');
    expect((await call('DELETE', `/snapshots/${id}`)).status).toBe(204);
    expect(code(await call('GET', `/snapshots/${id}`))).toEqual([404, 'SNAPSHOT_NOT_FOUND']);
    expect(code(await call('DELETE', `/snapshots/${id}`))).toEqual([404, 'SNAPSHOT_NOT_FOUND']);
    expect((await call('GET', '/snapshots')).body).toMatchObject({ totalCount: 0, results: [] });
    const other = await take();
    const cancelled = await call('POST', `/snapshots/${other.id}:cancel`);
    expect(cancelled.status).toBe(200);
    expect(stage.cancelled).toEqual([stage.job('take-snapshot').id]);
    await stage.failed('CANCELLED');
    expect(code(await call('PATCH', `/snapshots/${other.id}`, week))).toEqual([403, 'CANNOT_MODIFY_SNAPSHOT']);
  });

  it('F78, F84 guessed ids, other clusters and odd names are not found', async () => {
    const { id } = await take();
    const [own, ours] = [cluster, manager];
    cluster = await stage.cluster();
    manager = await api.tokenFor('GROUP_OWNER', cluster.projectId);
    expect(code(await call('GET', `/snapshots/${id}`))).toEqual([404, 'SNAPSHOT_NOT_FOUND']);
    expect(code(await call('GET', `/snapshots/${newObjectId()}`))).toEqual([404, 'SNAPSHOT_NOT_FOUND']);
    expect(code(await call('GET', `/snapshots/${encodeURIComponent("';--")}`))).toEqual([404, 'INVALID_SNAPSHOT_ID']);
    expect(code(await call('GET', '/snapshots/%00'))).toEqual([404, 'INVALID_SNAPSHOT_ID']);
    expect(code(await call('POST', '/snapshots', { description: 'a\0b' }))).toEqual([400, 'INVALID_ATTRIBUTE']);
    expect((await call('DELETE', `/snapshots/${id}`)).status).toBe(404);
    const nil = await api.request('GET', `/groups/${own.projectId}/clusters/a%00b/backup/snapshots`, { token: ours });
    expect(code(nil)).toEqual([404, 'CLUSTER_NOT_FOUND']);
    const nameless = await api.request('GET', `/groups/${own.projectId}/clusters/${encodeURIComponent('a b$"')}/backup/snapshots`, {
      token: ours,
    });
    expect(code(nameless)).toEqual([404, 'CLUSTER_NOT_FOUND']);
    // Their project is not ours.
    const foreign = await api.request('GET', `/groups/${own.projectId}/clusters/orders/backup/snapshots`, { token: manager });
    expect(foreign.status).toBeGreaterThanOrEqual(401);
  });

  it('readers read, backup managers and owners write', async () => {
    const expected: Readonly<Record<string, readonly number[]>> = {
      GROUP_READ_ONLY: [200, 200, 403, 403],
      GROUP_CLUSTER_MANAGER: [200, 200, 403, 403],
      GROUP_BACKUP_MANAGER: [200, 200, 200, 200],
      GROUP_OWNER: [200, 200, 400, 200],
    };
    for (const [role, statuses] of Object.entries(expected)) {
      const token = await api.tokenFor(role as Role, cluster.projectId);
      const answers = [
        await call('GET', '/snapshots', undefined, token),
        await call('GET', '/schedule', undefined, token),
        await call('POST', '/snapshots', {}, token),
        await call('PATCH', '/schedule', {}, token),
      ];
      expect([role, answers.map(({ status }) => status)]).toEqual([role, statuses]);
    }
  });

  it('shows the default schedule, changes it in part and takes its items away', async () => {
    const shown = await call('GET', '/schedule');
    const schedule = BackupScheduleViewSchema.parse(shown.body);
    expect(schedule).toMatchObject({
      clusterName: 'orders',
      referenceHourOfDay: 12,
      referenceMinuteOfHour: 30,
      restoreWindowDays: 7,
      nextSnapshot: '2026-11-23T12:30:00Z',
    });
    expect(
      schedule.policies[0]?.policyItems.map((item) =>
        [item.frequencyType, item.frequencyInterval, item.retentionValue, item.retentionUnit].join(' '),
      ),
    ).toEqual(['hourly 6 7 days', 'daily 1 7 days', 'weekly 6 4 weeks', 'monthly 40 12 months', 'yearly 12 1 years']);
    const daily = schedule.policies[0]?.policyItems.find(({ frequencyType }) => frequencyType === 'daily');
    // What the Atlas CLI and Terraform send back: whole documents.
    const changed = await call('PATCH', '/schedule', {
      ...shown.body,
      referenceHourOfDay: 3,
      policies: [{ id: schedule.policies[0]?.id, policyItems: [daily] }],
    });
    expect(changed.status).toBe(200);
    expect(BackupScheduleViewSchema.parse(changed.body)).toMatchObject({
      referenceHourOfDay: 3,
      nextSnapshot: '2026-11-24T03:30:00Z',
      policies: [{ policyItems: [{ id: daily?.id }] }],
    });
    expect(code(await call('PATCH', '/schedule', { referenceHourOfDay: 24 }))).toEqual([400, 'INVALID_REFERENCE_HOUR_OF_DAY']);
    expect(code(await call('PATCH', '/schedule', { nonsense: 1 }))).toEqual([400, 'INVALID_ATTRIBUTE']);
    const cleared = await call('DELETE', '/schedule');
    expect(cleared.status).toBe(200);
    expect(BackupScheduleViewSchema.parse(cleared.body).policies[0]?.policyItems).toEqual([]);
    expect(cleared.body).not.toHaveProperty('nextSnapshot');
    stage.clock.advance(3 * DAY);
    await service.scheduler.runDue();
    expect(stage.jobs).toEqual([]);
  });

  it('a changed policy touches what is there only with updateSnapshots or deleteSnapshots', async () => {
    stage.clock.set(new Date('2026-11-23T12:30:00Z'));
    await service.scheduler.runDue();
    await stage.settled();
    const id = await stage.taken();
    const { policies } = BackupScheduleViewSchema.parse((await call('GET', '/schedule')).body);
    const items = policies[0]!.policyItems.map((item) => (item.frequencyType === 'daily' ? { ...item, retentionValue: 14 } : item));
    const expiry = async () => (await call('GET', `/snapshots/${id}`)).body.expiresAt;
    await call('PATCH', '/schedule', { policies: [{ policyItems: items }] });
    expect(await expiry()).toBe('2026-11-30T12:30:00Z');
    await call('PATCH', '/schedule', { updateSnapshots: true });
    expect(await expiry()).toBe('2026-12-07T12:30:00Z');
    const rest = items.filter(({ frequencyType }) => frequencyType !== 'daily' && frequencyType !== 'hourly');
    await call('PATCH', '/schedule', { policies: [{ policyItems: rest }] });
    expect(await expiry()).toBe('2026-12-07T12:30:00Z');
    await call('PATCH', '/schedule', { deleteSnapshots: true });
    expect(code(await call('GET', `/snapshots/${id}`))).toEqual([404, 'SNAPSHOT_NOT_FOUND']);
  });

  it('without backup there is neither schedule nor snapshot', async () => {
    cluster = await stage.cluster({ backupEnabled: false });
    manager = await api.tokenFor('GROUP_OWNER', cluster.projectId);
    expect(code(await call('POST', '/snapshots', {}))).toEqual([400, 'BACKUP_JOB_NOT_FOUND']);
    expect(code(await call('GET', '/schedule'))).toEqual([404, 'BACKUP_CONFIG_NOT_FOUND']);
    expect((await call('GET', '/snapshots')).body).toMatchObject({ totalCount: 0, results: [] });
  });

  it('of sharded clusters are listed in both ways, with their parts and what a restore needs to know of them', async () => {
    expect((await call('GET', '/snapshots/shardedClusters')).body).toMatchObject({ results: [], totalCount: 0 });
    expect(code(await call('GET', `/snapshots/shardedCluster/${newObjectId()}`))).toEqual([404, 'SNAPSHOT_NOT_FOUND']);
    cluster = await stage.cluster({ clusterType: 'SHARDED' });
    manager = await api.tokenFor('GROUP_OWNER', cluster.projectId);
    expect((await call('POST', '/snapshots', {})).body).toMatchObject({ type: 'shardedCluster', status: 'queued', members: [] });
    await stage.settled();
    const parts = await stage.divided();
    const id = await stage.takenInParts(parts);
    const ids = parts.map(({ snapshotId }) => snapshotId);
    const { body } = await call('GET', `/snapshots/shardedCluster/${id}`);
    expect(body).toMatchObject({
      id,
      type: 'shardedCluster',
      configServerType: 'DEDICATED',
      members: parts.map(({ snapshotId, replicaSet }) => ({ id: snapshotId, replicaSetName: replicaSet })),
      snapshotIds: ids,
      selfManaged: {
        cut: { increment: 7 },
        parts: [
          { replicaSet: 'cfg', role: 'config' },
          { replicaSet: 's1', role: 'shard', shardName: 'shard-s1', mongodVersion: '8.0.4' },
          { replicaSet: 's2', role: 'shard', shardName: 'shard-s2' },
        ],
      },
    });
    expect(body).not.toHaveProperty('replicaSetName');
    expect((await call('GET', '/snapshots/shardedClusters')).body).toMatchObject({ results: [{ id }], totalCount: 1 });
    expect((await call('GET', '/snapshots')).body).toMatchObject({ results: [{ id, type: 'shardedCluster' }] });
    expect(code(await call('GET', `/snapshots/shardedCluster/${ids[0]}`))).toEqual([404, 'SNAPSHOT_NOT_FOUND']);
    expect((await call('DELETE', `/snapshots/shardedCluster/${id}`)).status).toBe(204);
    expect(code(await call('GET', `/snapshots/shardedCluster/${id}`))).toEqual([404, 'SNAPSHOT_NOT_FOUND']);
  });
});
