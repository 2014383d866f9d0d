import type { KeyProviderName, SealingPublicKey } from '@atrest/contracts';
import { rows, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';

/** What an agent asked for, and how far the answer is. */
export interface KeyAccessRequest {
  readonly taskId: string;
  readonly hostId: string;
  readonly projectId: string;
  readonly provider: KeyProviderName;
  readonly sealingKey: SealingPublicKey;
  readonly revision: number;
  readonly requestedAt: Date;
  /** How often it was worked on, this time included. */
  readonly tries: number;
}

interface Row {
  task_id: string;
  host_id: string;
  project_id: string;
  provider: KeyProviderName;
  sealing_key: SealingPublicKey;
  revision: number;
  requested_at: Date;
  tries: number;
}

const toRequest = (row: Row): KeyAccessRequest => ({
  taskId: row.task_id,
  hostId: row.host_id,
  projectId: row.project_id,
  provider: row.provider,
  sealingKey: row.sealing_key,
  revision: row.revision,
  requestedAt: row.requested_at,
  tries: row.tries,
});

/** Requests for access to keys in the database. */
export class KeyAccessRequestRepository {
  constructor(private readonly database: ServiceDatabase) {}

  /** `older`: the request is known already, or a later one of its task is. */
  async remember(tx: Transaction, request: Omit<KeyAccessRequest, 'tries'>): Promise<'remembered' | 'older'> {
    const { taskId, hostId, projectId, provider, sealingKey, revision, requestedAt } = request;
    const written = await rows(
      tx,
      `INSERT INTO key_access_request AS known (task_id, host_id, project_id, provider, sealing_key, revision, requested_at, due_at, tries)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $7, 0)
       ON CONFLICT (task_id) DO UPDATE
          SET host_id = EXCLUDED.host_id, sealing_key = EXCLUDED.sealing_key, revision = EXCLUDED.revision, requested_at = EXCLUDED.requested_at,
              due_at = EXCLUDED.due_at, tries = 0, answered_at = NULL
        WHERE known.revision < EXCLUDED.revision
       RETURNING task_id`,
      [taskId, hostId, projectId, provider, JSON.stringify(sealingKey), revision, requestedAt],
    );
    return written.length === 1 ? 'remembered' : 'older';
  }

  /** Takes requests that are due; nobody else gets them until then. What another replica is just taking is passed over. */
  async claim(limit: number, now: Date, until: Date): Promise<KeyAccessRequest[]> {
    const claimed = await this.database.query<Row>(
      `UPDATE key_access_request SET due_at = $3, tries = tries + 1
        WHERE task_id IN (SELECT task_id FROM key_access_request WHERE answered_at IS NULL AND due_at <= $2 ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED)
       RETURNING *`,
      [limit, now, until],
    );
    return claimed.map(toRequest);
  }

  /** Notes that a request is answered. `superseded`: a later one took its place, or somebody else took it over; the answer is not to be given. */
  async answer(tx: Transaction, request: KeyAccessRequest, now: Date): Promise<'answered' | 'superseded'> {
    const answered = await rows(
      tx,
      `UPDATE key_access_request SET answered_at = $4 WHERE task_id = $1 AND revision = $2 AND tries = $3 AND answered_at IS NULL RETURNING task_id`,
      [request.taskId, request.revision, request.tries, now],
    );
    return answered.length === 1 ? 'answered' : 'superseded';
  }

  /** Has a request worked on again then. */
  async postpone(request: KeyAccessRequest, until: Date): Promise<void> {
    await this.database.query(
      `UPDATE key_access_request SET due_at = $4 WHERE task_id = $1 AND revision = $2 AND tries = $3 AND answered_at IS NULL RETURNING task_id`,
      [request.taskId, request.revision, request.tries, until],
    );
  }

  /** Forgets requests that were answered before then. */
  async prune(answeredBefore: Date, limit: number): Promise<number> {
    const pruned = await this.database.query(
      `DELETE FROM key_access_request WHERE task_id IN (SELECT task_id FROM key_access_request WHERE answered_at < $1 ORDER BY answered_at LIMIT $2)
       RETURNING task_id`,
      [answeredBefore, limit],
    );
    return pruned.length;
  }
}
