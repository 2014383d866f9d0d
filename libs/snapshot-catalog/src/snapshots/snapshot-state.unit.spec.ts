import { newObjectId, SNAPSHOT_STATUSES, SnapshotStateSchema, type BackupJob } from '@atrest/contracts';
import { describe, expect, it } from 'vitest';
import { progressAt, proofAt, takenBy } from '../test-support/stage.contract.js';
import { USUAL_METHODS } from './retry-policy.js';
import {
  advance,
  begin,
  complete,
  fail,
  failProof,
  join,
  keepUntil,
  lifeOf,
  prove,
  remove,
  request,
  snapshotTransitions,
  toState,
  type Changed,
  type Snapshot,
} from './snapshot-state.js';

const NOW = new Date('2026-11-23T12:00:00Z');
const LATER = new Date('2026-11-30T12:00:00Z');
const failure = { code: 'INTERNAL', detail: 'x' } as const;
const requested = (): Snapshot =>
  request({
    id: newObjectId(NOW),
    projectId: newObjectId(),
    clusterId: newObjectId(),
    clusterName: 'orders',
    epochId: newObjectId(),
    provider: 'NONE',
    encryptionKeyId: null,
    snapshotType: 'scheduled',
    frequencyType: 'daily',
    policyItems: [newObjectId()],
    description: null,
    replicaSet: 'rs0',
    parts: null,
    retention: { unit: 'days', value: 7 },
    dueAt: NOW,
    requestedAt: NOW,
    expiresAt: LATER,
    source: { kind: 'secondary' },
    methods: USUAL_METHODS,
    attempt: 1,
    avoidMember: null,
    anew: false,
  }).snapshot;
const taken = takenBy(NOW, { encryptionKeyId: null } as Extract<BackupJob, { kind: 'take-snapshot' }>);
const must = (changed: Changed | null): Snapshot => {
  if (changed === null) throw new Error('not possible');
  return changed.snapshot;
};

describe('the states of a snapshot', () => {
  const queued = requested();
  const running = must(begin(queued, NOW));
  const completed = must(complete(running, taken, proofAt(NOW), LATER));
  const failed = must(fail(running, failure, null, LATER));
  const deleted = must(remove(completed, NOW));
  const changes = (snapshot: Snapshot): (Changed | null)[] => [
    join(snapshot, queued),
    begin(snapshot, NOW),
    advance(snapshot, progressAt(NOW, 0.1), NOW),
    complete(snapshot, taken, proofAt(NOW), LATER),
    fail(snapshot, failure, null, LATER),
    keepUntil(snapshot, LATER, { unit: 'days', value: 7 }),
    prove(snapshot, proofAt(NOW)),
    failProof(snapshot, failure),
    remove(snapshot, NOW),
  ];

  it('every change that is possible is in the table, and every row of the table is possible', () => {
    const seen = [queued, running, completed, failed, deleted].flatMap((from) =>
      changes(from).flatMap((changed) =>
        changed === null ? [] : [`${lifeOf(from)} → ${lifeOf(changed.snapshot)}: ${changed.event.type.split('.').at(-2)}`],
      ),
    );
    expect(new Set(seen)).toEqual(new Set(snapshotTransitions.map(({ from, to, event }) => `${from} → ${to}: ${event}`)));
  });

  it('nothing follows a deletion, and each change grows the revision by one', () => {
    expect(changes(deleted)).toEqual(changes(deleted).map(() => null));
    expect([queued, running, completed, deleted].map(({ revision }) => revision)).toEqual([1, 2, 3, 4]);
  });

  it('the status that others see is one of Atlas in every state', () => {
    for (const snapshot of [queued, running, completed, failed, deleted]) {
      const state = SnapshotStateSchema.parse(toState(snapshot));
      expect(SNAPSHOT_STATUSES).toContain(state.status);
    }
  });

  it('something may lie in the store where an agent had begun, and nowhere else', () => {
    expect(must(fail(queued, failure, null, LATER)).clearStore).toBe(false);
    expect(failed.clearStore).toBe(true);
    expect(deleted.clearStore).toBe(true);
    expect(must(remove(must(fail(queued, failure, null, LATER)), NOW)).clearStore).toBe(false);
  });

  it('its moment is that of the last write in it', () => {
    expect(completed.createdAt).toEqual(NOW);
    expect(must(complete(running, { ...taken, optime: null }, proofAt(NOW), LATER)).createdAt).toEqual(new Date(NOW.getTime() - 2_000));
  });
});
