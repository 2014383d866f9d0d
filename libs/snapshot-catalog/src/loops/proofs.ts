import { rows, type ServiceDatabase } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import type { BackupJobs } from '../jobs/backup-jobs.js';
import { nextProofAt, PROOF_INTERVAL_MS } from '../proof/proof-policy.js';
import type { BackupHealths } from '../schedule/backup-health.js';
import type { SnapshotRepository } from '../snapshots/snapshot.repository.js';
import { provenAt } from '../snapshots/snapshot-state.js';

export interface ProofsParts {
  readonly database: ServiceDatabase;
  readonly snapshots: SnapshotRepository;
  readonly orders: BackupJobs;
  readonly healths: BackupHealths;
  readonly clock: Clock;
}

/** Has one snapshot of each cluster proven again a day: the one whose proof is the oldest. */
export class Proofs {
  constructor(private readonly parts: ProofsParts) {}

  /** Orders every proof that is due by now; answers how many clusters were looked at. */
  async runDue(): Promise<number> {
    let looked = 0;
    while (await this.runOne()) looked += 1;
    return looked;
  }

  private runOne(): Promise<boolean> {
    const { database, snapshots, orders, healths, clock } = this.parts;
    return database.transaction(async (tx) => {
      const now = clock.now();
      const [claimed] = await rows<{ clusterId: string }>(
        tx,
        `SELECT cluster_id AS "clusterId" FROM cluster_backup WHERE next_proof_at <= $1 AND completed > 0
         ORDER BY next_proof_at LIMIT 1 FOR UPDATE SKIP LOCKED`,
        [now],
      );
      if (claimed === undefined) return false;
      const { clusterId } = claimed;
      const snapshot = await snapshots.oldestProof(tx, clusterId);
      const proven = provenAt(snapshot);
      await healths.judgeProofs(tx, clusterId, proven, now);
      const fresh = snapshot === null || (proven !== null && now.getTime() - proven.getTime() < PROOF_INTERVAL_MS);
      // Until the job says what became of it, or for as long as one that was ordered before is under way.
      const next = nextProofAt(fresh ? 'proven' : 'not-looked-at', now);
      await rows(tx, 'UPDATE cluster_backup SET next_proof_at = $2 WHERE cluster_id = $1', [clusterId, next]);
      if (!fresh) await orders.prove(tx, snapshot);
      return true;
    });
  }
}
