import { BACKUP_FAILURES } from '@atrest/contracts';
import { describe, expect, it } from 'vitest';
import type { AlertChange } from '../alerts/alert.js';
import { clusterState, healthState, snapshotState, START } from '../test-support/stage.contract.js';
import { afterHealth, afterSnapshot, NOTHING_KNOWN, proofAlert, type KnownBackups } from './backup-alerts.js';

const cluster = clusterState('65f0c0ffee65f0c0ffee65f0', 'orders', { backupEnabled: true });
const failed = snapshotState(cluster, { status: 'failed', failure: { code: 'STORE_FULL', detail: 'No space left on device.' } });
const [earlier, later] = [START, new Date(START.getTime() + 60_000)];
const words = (alerts: readonly AlertChange[]): string[] => alerts.map(({ change, eventType }) => `${change} ${eventType}`);

describe('alerts that follow from a snapshot', () => {
  it('opens with a failure and closes with the next success, whichever of them is heard of first', () => {
    const failure = afterSnapshot('failed', failed, earlier, NOTHING_KNOWN);
    expect(words(failure.alerts)).toEqual(['open CPS_SNAPSHOT_FAILED']);
    expect(words(afterSnapshot('completed', failed, later, failure.known).alerts)).toContain('close CPS_SNAPSHOT_FAILED');

    const success = afterSnapshot('completed', failed, later, NOTHING_KNOWN);
    expect(words(afterSnapshot('failed', failed, earlier, success.known).alerts)).toEqual([]);
    // A success before the failure says nothing of it.
    const lateFailure = afterSnapshot('failed', failed, later, NOTHING_KNOWN);
    expect(words(afterSnapshot('completed', failed, earlier, lateFailure.known).alerts)).not.toContain('close CPS_SNAPSHOT_FAILED');
  });

  it('does not open for what is tried again, was wanted or is told elsewhere', () => {
    expect(afterSnapshot('failed', { ...failed, willRetry: true }, earlier, NOTHING_KNOWN).alerts).toEqual([]);
    const silent = BACKUP_FAILURES.filter(
      (code) => afterSnapshot('failed', { ...failed, failure: { code, detail: '' } }, earlier, NOTHING_KNOWN).alerts.length === 0,
    );
    expect(silent).toEqual(['CANCELLED', 'CLUSTER_DISABLED', 'CLUSTER_GONE']);
  });

  it('ends that a proof is overdue with the next proof, which each new snapshot has', () => {
    const overdue = afterHealth('proof-overdue', healthState(cluster), earlier, NOTHING_KNOWN);
    expect(words(overdue.alerts)).toContain('open CPS_SNAPSHOT_PROOF_OVERDUE');
    for (const name of ['proven', 'completed'] as const) {
      const proven = afterSnapshot(name, failed, later, overdue.known);
      expect(words(proven.alerts)).toContain('close CPS_SNAPSHOT_PROOF_OVERDUE');
      // Heard of late, it is over already.
      expect(words(afterHealth('proof-overdue', healthState(cluster), earlier, proven.known).alerts)).not.toContain(
        'open CPS_SNAPSHOT_PROOF_OVERDUE',
      );
    }
  });

  it('is one alert for all snapshots of a cluster that could not be proven', () => {
    expect(proofAlert(2, later)).toMatchObject({ change: 'open', eventType: 'CPS_SNAPSHOT_PROOF_FAILED' });
    expect(proofAlert(0, later)).toEqual({ change: 'close', eventType: 'CPS_SNAPSHOT_PROOF_FAILED' });
  });

  it('names the moment since when snapshots are overdue, and a schedule that pauses is not late', () => {
    const behind = healthState(cluster, { behindSince: earlier.toISOString() });
    const late = afterHealth('fell-behind', behind, later, NOTHING_KNOWN);
    expect(late.alerts).toContainEqual({ change: 'open', eventType: 'CPS_SNAPSHOT_BEHIND', since: earlier });
    const paused = { ...behind, paused: { reason: 'The cluster is disabled.', since: later.toISOString() } };
    const known: KnownBackups = late.known;
    expect(words(afterHealth('paused', paused, later, known).alerts)).toEqual(['close CPS_SNAPSHOT_BEHIND', 'close CPS_PREV_SNAPSHOT_OLD']);
  });
});
