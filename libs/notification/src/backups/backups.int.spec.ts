import {
  backupCaughtUp,
  backupFellBehind,
  backupPaused,
  backupProofOverdue,
  backupResumed,
  clusterConcernRaised,
  clusterCreated,
  clusterDeleted,
  projectCreated,
  snapshotCompleted,
  snapshotDeleted,
  snapshotFailed,
  snapshotProgressed,
  snapshotProofFailed,
  snapshotProven,
  snapshotRequested,
  snapshotRetentionChanged,
  snapshotStarted,
  type ClusterSummary,
  type ProjectState,
  type SnapshotState,
} from '@atrest/contracts';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AlertsHttp, type AlertsAnswer } from '../test-support/http.contract.js';
import {
  clusterState,
  concern,
  DAY,
  healthState,
  HOUR,
  MINUTE,
  projectState,
  snapshotState,
  Stage,
  START,
} from '../test-support/stage.contract.js';

describe('what people hear of backups', () => {
  let stage: Stage;
  let api: AlertsHttp;
  let project: ProjectState;
  let cluster: ClusterSummary;
  let told = 0;
  const KEEPERS = ['keeper@example.com', 'owner@example.com'];

  beforeAll(async () => {
    stage = await Stage.open('backups');
    api = await AlertsHttp.open(stage);
  });
  afterAll(async () => {
    await api.close();
    await stage.close();
  });
  beforeEach(async () => {
    stage.clock.set(START);
    project = projectState({
      'owner@example.com': ['GROUP_OWNER'],
      'keeper@example.com': ['GROUP_READ_ONLY', 'GROUP_BACKUP_MANAGER'],
      'reader@example.com': ['GROUP_READ_ONLY'],
    });
    cluster = clusterState(project.id, 'orders', { backupEnabled: true });
    await stage.deliver(projectCreated, project);
    await stage.deliver(clusterCreated, cluster);
  });

  // Its alerts end with it, so that no test hears of another's cluster.
  afterEach(() => stage.deliver(clusterDeleted, { ...cluster, deletedAt: stage.clock.now().toISOString(), revision: 9 }));

  /** The messages since the last call, each to owners and backup managers. */
  async function messages(): Promise<{ subject: string; text: string }[]> {
    await stage.service.deliverDue();
    const fresh = stage.mails.messages().slice(told);
    told += fresh.length;
    return fresh.map(({ subject, to, text }) => {
      expect(to).toEqual(KEEPERS);
      return { subject, text: text ?? '' };
    });
  }
  const subjects = async (): Promise<string[]> =>
    (await messages()).map(({ subject }) => subject.replace('[Atrest] Cluster orders of project Orders: ', ''));
  /** With a new token: days pass between the calls. */
  const send = async (method: string, path: string, body?: object): Promise<AlertsAnswer> =>
    api.send(method, `/groups/${project.id}${path}`, await api.tokenFor('GROUP_OWNER', project.id), body);
  const alerts = async (): Promise<string[]> =>
    ((await send('GET', '/alerts')).body.results ?? [])
      .map(({ eventTypeName, status, clusterName }) => `${String(clusterName)} ${String(eventTypeName)} ${String(status)}`)
      .toSorted();
  const failing = (change: Partial<SnapshotState> = {}): SnapshotState =>
    snapshotState(cluster, {
      status: 'failed',
      failure: { code: 'STORE_FULL', detail: 'The folder /backups has 12 MiB left.' },
      revision: 3,
      ...change,
    });

  it('F82 a snapshot that failed for good is told once, whatever fails after it, until one succeeds; retries are not', async () => {
    await stage.deliver(snapshotFailed, failing({ willRetry: true }));
    expect(await subjects()).toEqual([]);
    await stage.deliver(snapshotCompleted, snapshotState(cluster, { status: 'completed', revision: 3 }));
    stage.clock.advance(6 * HOUR);
    const failed = failing({ attempt: 3 });
    await stage.deliver(snapshotFailed, failed);
    const [message, ...others] = await messages();
    expect(others).toEqual([]);
    expect(message?.subject).toBe('[Atrest] Cluster orders of project Orders: a snapshot failed');
    for (const words of [
      'after 3 attempts',
      failed.id,
      'STORE_FULL',
      'The folder /backups has 12 MiB left.',
      'Failed: 2026-11-23 18:00:00 UTC',
      'the last one was completed at 2026-11-23 12:00:00 UTC',
      'Add space to the snapshot store',
      `/groups/${project.id}/clusters/orders/backup/snapshots`,
    ]) {
      expect(message?.text).toContain(words);
    }
    stage.clock.advance(6 * HOUR);
    await stage.deliver(snapshotFailed, failing());
    await stage.deliver(snapshotFailed, failing({ failure: { code: 'CANCELLED', detail: 'By hand.' } }));
    expect(await subjects()).toEqual([]);
    expect(await alerts()).toEqual(['orders CPS_SNAPSHOT_FAILED OPEN']);
    stage.clock.advance(DAY);
    await stage.deliver(snapshotFailed, failing());
    expect(await subjects()).toEqual(['a snapshot failed']);

    stage.clock.advance(MINUTE);
    await stage.deliver(snapshotCompleted, snapshotState(cluster, { status: 'completed', revision: 3 }));
    expect(await subjects()).toEqual(['its backups are in order again']);
    expect(await alerts()).toEqual(['orders CPS_SNAPSHOT_FAILED CLOSED']);
    stage.clock.advance(MINUTE);
    await stage.deliver(snapshotFailed, failing());
    expect(await subjects()).toEqual(['a snapshot failed']);
  });

  it('tells when the schedule falls behind, again after a day, and once that all is in order', async () => {
    await stage.deliver(backupFellBehind, healthState(cluster, { behindSince: START.toISOString() }));
    await stage.deliver(snapshotFailed, failing());
    expect(await subjects()).toEqual(['snapshots are overdue', 'a snapshot failed']);
    stage.clock.advance(DAY - MINUTE);
    expect(await subjects()).toEqual([]);
    stage.clock.advance(MINUTE);
    const [again, ...others] = await messages();
    expect(others).toEqual([]);
    expect(again?.subject).toContain('snapshots are overdue for over a day');
    expect(again?.text).toContain('Overdue since: 2026-11-23 12:00:00 UTC');
    expect(await alerts()).toEqual([
      'orders CPS_PREV_SNAPSHOT_OLD OPEN',
      'orders CPS_SNAPSHOT_BEHIND OPEN',
      'orders CPS_SNAPSHOT_FAILED OPEN',
    ]);
    stage.clock.advance(MINUTE);
    await stage.deliver(snapshotCompleted, snapshotState(cluster, { status: 'completed', revision: 3 }));
    expect(await subjects()).toEqual([]);
    await stage.deliver(backupCaughtUp, healthState(cluster, { revision: 2 }));
    expect(await subjects()).toEqual(['its backups are in order again']);
    expect(new Set((await alerts()).map((alert) => alert.split(' ').at(-1)))).toEqual(new Set(['CLOSED']));
    // What is heard of late changes nothing.
    await stage.deliver(backupFellBehind, healthState(cluster, { behindSince: START.toISOString() }));
    expect(await subjects()).toEqual([]);
  });

  it('a schedule that pauses is not late, and one that was paused can be again', async () => {
    const behind = healthState(cluster, { behindSince: START.toISOString() });
    await stage.deliver(backupFellBehind, behind);
    const paused = { reason: 'The cluster is disabled.', since: START.toISOString() };
    await stage.deliver(backupPaused, { ...behind, paused, revision: 2 });
    expect(await subjects()).toEqual(['snapshots are overdue', 'its backups are in order again']);
    stage.clock.advance(2 * DAY);
    expect(await subjects()).toEqual([]);
    await stage.deliver(backupResumed, { ...behind, behindSince: null, revision: 3 });
    await stage.deliver(backupFellBehind, { ...behind, behindSince: stage.clock.now().toISOString(), revision: 4 });
    expect(await subjects()).toEqual(['snapshots are overdue']);
  });

  it('F82 snapshots that cannot be proven are one trouble of their cluster, until each is proven or gone', async () => {
    const createdAt = START.toISOString();
    const broken = [1, 2, 3].map(() =>
      snapshotState(cluster, {
        status: 'completed',
        createdAt,
        proofFailure: { code: 'STORE_DAMAGED', detail: 'Block 7f3a… is 12 bytes short.' },
        revision: 5,
      }),
    );
    for (const snapshot of broken) await stage.deliver(snapshotProofFailed, snapshot);
    const [message, ...others] = await messages();
    expect(others).toEqual([]);
    for (const words of [
      'could not be proven',
      'Block 7f3a… is 12 bytes short.',
      'Find out what changed objects',
      'Of: 2026-11-23 12:00:00 UTC',
    ]) {
      expect(message?.text).toContain(words);
    }
    const [first, second, third] = broken as [SnapshotState, SnapshotState, SnapshotState];
    stage.clock.advance(HOUR);
    await stage.deliver(snapshotProven, { ...first, proofFailure: null, revision: 6 });
    await stage.deliver(snapshotDeleted, { ...second, deletedAt: stage.clock.now().toISOString(), revision: 6 });
    await stage.deliver(snapshotRetentionChanged, { ...third, revision: 6 });
    expect(await alerts()).toEqual(['orders CPS_SNAPSHOT_PROOF_FAILED OPEN']);
    await stage.deliver(snapshotProven, { ...third, proofFailure: null, revision: 7 });
    await stage.deliver(snapshotProofFailed, third);
    expect(await alerts()).toEqual(['orders CPS_SNAPSHOT_PROOF_FAILED CLOSED']);
    expect(await subjects()).toEqual(['its backups are in order again']);
  });

  it('tells that nothing was proven for too long, until something is', async () => {
    const provenAt = '2026-11-20T12:00:00.000Z';
    const oldestProof = { snapshotId: 'a'.repeat(24), provenAt };
    await stage.deliver(backupProofOverdue, healthState(cluster, { oldestProof }));
    const [message] = await messages();
    expect(message?.subject).toContain('not proven for too long');
    expect(message?.text).toContain('Oldest proof: 2026-11-20 12:00:00 UTC');
    stage.clock.advance(HOUR);
    await stage.deliver(snapshotProven, snapshotState(cluster, { status: 'completed', revision: 9 }));
    expect(await alerts()).toEqual(['orders CPS_SNAPSHOT_PROOF_OVERDUE CLOSED']);
    expect(await subjects()).toEqual(['its backups are in order again']);
  });

  it('F48 a lock that was left behind is told to owners and backup managers, not as a matter of a disabled cluster', async () => {
    await stage.deliver(clusterConcernRaised, concern(cluster, { kind: 'HELD_FOR_BACKUP', detail: 'fsyncLock since 20 minutes.' }));
    const [message, ...others] = await messages();
    expect(others).toEqual([]);
    expect(message?.subject).toContain('a process is still held for a backup');
    for (const words of ['fsyncLock since 20 minutes.', 'fsyncUnlock']) expect(message?.text).toContain(words);
    expect(message?.text).not.toContain('customer key');
  });

  it('whoever switched an alert off or acknowledged it hears nothing, and what is gone is cancelled', async () => {
    await stage.deliver(snapshotRequested, snapshotState(cluster, { snapshotType: 'onDemand' }));
    const configs = (await send('GET', '/alertConfigs')).body.results ?? [];
    expect(configs.map(({ eventTypeName }) => eventTypeName)).toEqual([
      'CPS_PREV_SNAPSHOT_OLD',
      'CPS_SNAPSHOT_BEHIND',
      'CPS_SNAPSHOT_FAILED',
      'CPS_SNAPSHOT_PROOF_FAILED',
      'CPS_SNAPSHOT_PROOF_OVERDUE',
    ]);
    expect(configs[2]).toMatchObject({ notifications: [{ roles: ['GROUP_OWNER', 'GROUP_BACKUP_MANAGER'] }] });
    for (const index of [0, 1]) await send('PATCH', `/alertConfigs/${String(configs[index]?.id)}`, { enabled: false });
    await stage.deliver(backupFellBehind, healthState(cluster, { behindSince: START.toISOString() }));
    stage.clock.advance(2 * DAY);
    expect(await subjects()).toEqual([]);
    expect(await alerts()).toEqual([]);

    await stage.deliver(snapshotFailed, failing());
    expect(await subjects()).toEqual(['a snapshot failed']);
    const [alert] = (await send('GET', '/alerts')).body.results ?? [];
    const acknowledgedUntil = new Date(stage.clock.now().getTime() + 3 * DAY).toISOString();
    await send('PATCH', `/alerts/${String(alert?.id)}`, { acknowledgedUntil });
    stage.clock.advance(2 * DAY);
    await stage.deliver(snapshotFailed, failing());
    expect(await subjects()).toEqual([]);
    await stage.deliver(clusterDeleted, { ...cluster, deletedAt: stage.clock.now().toISOString(), revision: 2 });
    expect(await alerts()).toEqual(['orders CPS_SNAPSHOT_FAILED CANCELLED']);
    expect(await subjects()).toEqual([]);
  });

  it('lists what happened under the names of Atlas, by cluster, once, also after a rebuild', async () => {
    const onDemand = snapshotState(cluster, { snapshotType: 'onDemand' });
    const fallback = snapshotState(cluster, { snapshotType: 'fallback' });
    const happen = async (): Promise<void> => {
      await stage.deliver(snapshotRequested, onDemand);
      await stage.deliver(snapshotRequested, fallback);
      await stage.deliver(snapshotStarted, { ...onDemand, revision: 2 });
      await stage.deliver(snapshotProgressed, { ...onDemand, status: 'inProgress', revision: 3 });
      await stage.deliver(snapshotCompleted, { ...onDemand, status: 'completed', revision: 4 });
      await stage.deliver(snapshotFailed, failing({ id: fallback.id, snapshotType: 'fallback', willRetry: true, revision: 2 }));
      await stage.deliver(snapshotFailed, failing({ id: fallback.id, snapshotType: 'fallback', revision: 3 }));
      await stage.deliver(backupFellBehind, healthState(cluster, { behindSince: START.toISOString() }));
    };
    await happen();
    await stage.database.query('TRUNCATE inbox');
    await happen();
    const list = async (query: string): Promise<string[]> =>
      ((await send('GET', `/events${query}`)).body.results ?? []).map(({ eventTypeName }) => String(eventTypeName)).toSorted();
    const names = [
      'CPS_CONCURRENT_SNAPSHOT_FAILED_WILL_RETRY',
      'CPS_ON_DEMAND_SNAPSHOT_REQUESTED',
      'CPS_SNAPSHOT_BEHIND',
      'CPS_SNAPSHOT_COMPLETED_AUDIT',
      'CPS_SNAPSHOT_FALLBACK_FAILED',
      'CPS_SNAPSHOT_IN_PROGRESS_AUDIT',
      'CPS_SNAPSHOT_STARTED',
      'CPS_SNAPSHOT_SUCCESSFUL',
    ];
    expect(await list('')).toEqual(names);
    expect(await list('?clusterNames=orders')).toEqual(names);
    expect(await list('?clusterNames=invoices')).toEqual([]);
    expect(await list('?eventType=CPS_SNAPSHOT_SUCCESSFUL')).toEqual(['CPS_SNAPSHOT_SUCCESSFUL']);
    expect((await send('GET', '/events?eventType=CPS_SNAPSHOT_STARTED')).body.results).toMatchObject([{ clusterName: 'orders' }]);
    expect(await subjects()).toEqual(['snapshots are overdue']);
    expect(await stage.database.query('SELECT type FROM dead_letter')).toEqual([]);
  });
});
