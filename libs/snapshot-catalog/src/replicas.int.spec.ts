import { newObjectId } from '@atrest/contracts';
import { waitFor } from '@atrest/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { SnapshotCatalogService } from './snapshot-catalog.service.js';
import { clusterState, DAY, Stage, START } from './test-support/stage.contract.js';

describe('two replicas at once', () => {
  let stage: Stage;
  let replicas: SnapshotCatalogService[];

  beforeAll(async () => {
    stage = await Stage.open('snapshot_replicas');
    replicas = [await stage.replica(), await stage.replica()];
  });
  afterAll(() => stage.close());
  beforeEach(() => stage.reset());

  const everywhere = async (work: (service: SnapshotCatalogService) => Promise<unknown>): Promise<void> => {
    await Promise.all([...replicas, ...replicas].map(work));
    await stage.settled();
  };

  it('F33 queue, take, prove, delete and tell of everything once', async () => {
    const projectId = newObjectId();
    const first = await stage.cluster({ projectId });
    const clusters = [first];
    for (const name of ['b', 'c', 'd', 'e', 'f']) clusters.push(await stage.cluster(clusterState(projectId, name)));
    stage.clock.set(new Date('2026-11-23T12:30:00Z'));
    await everywhere((service) => service.scheduler.runDue());
    expect(stage.jobs.map(({ clusterId }) => clusterId).toSorted()).toEqual(clusters.map(({ id }) => id).toSorted());
    for (let failed = 0; failed < 6; failed += 1) await stage.failed('KEY_CHANGED');
    stage.clock.advance(1_000);
    await everywhere((service) => service.scheduler.runDue());
    expect(stage.jobs).toHaveLength(6);
    for (let taken = 0; taken < 6; taken += 1) await stage.taken();
    expect(stage.jobs).toEqual([]);
    await everywhere((service) => service.groomer.run());
    expect(stage.jobs.map(({ kind }) => kind)).toEqual(Array.from({ length: 6 }, () => 'delete-snapshots'));
    for (let cleared = 0; cleared < 6; cleared += 1) await stage.cleared();

    stage.clock.set(new Date(START.getTime() + 2 * DAY));
    await everywhere((service) => service.proofs.runDue());
    expect(stage.jobs.map(({ kind }) => kind)).toEqual(Array.from({ length: 6 }, () => 'prove-snapshot'));
    stage.jobs.splice(0);
    await everywhere((service) => service.scheduler.runDue());
    stage.clock.advance(DAY);
    await everywhere((service) => service.loops.watch());
    for (const { id } of clusters) expect((await stage.healthEvents(id)).map(({ name }) => name)).toEqual(['fell-behind']);
    expect(await stage.miscounts()).toEqual([]);
  });

  it('a service that starts does by itself what is due', async () => {
    await stage.cluster();
    stage.clock.set(new Date('2026-11-23T12:30:00Z'));
    replicas[0]!.loops.start();
    await waitFor(() => stage.jobs.length === 1, { describe: 'the order of the scheduled snapshot' });
    await replicas[0]!.loops.stop();
  });

  it('requests at the same moment: one on-demand snapshot is queued, the others are refused', async () => {
    const { projectId } = await stage.cluster();
    const outcomes = await Promise.all([...replicas, ...replicas].map((service) => service.snapshots.take(projectId, 'orders', {})));
    await stage.settled();
    expect(outcomes.map((outcome) => (outcome.kind === 'done' ? 'done' : outcome.refusal.code)).toSorted()).toEqual([
      'UNFINISHED_ON_DEMAND_SNAPSHOT',
      'UNFINISHED_ON_DEMAND_SNAPSHOT',
      'UNFINISHED_ON_DEMAND_SNAPSHOT',
      'done',
    ]);
    expect(stage.jobs).toHaveLength(1);
    expect(await stage.miscounts()).toEqual([]);
  });
});
