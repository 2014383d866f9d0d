import { newObjectId } from '@atrest/contracts';
import { rows, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';
import type { Alert, AlertChange, AlertEventType, AlertStatus } from './alert.js';

interface Row {
  readonly id: string;
  readonly project_id: string;
  readonly source_id: string;
  readonly cluster_name: string | null;
  readonly event_type: AlertEventType;
  readonly status: AlertStatus;
  readonly created_at: Date;
  readonly updated_at: Date;
  readonly resolved_at: Date | null;
  readonly last_notified: Date | null;
  readonly acknowledged_until: Date | null;
  readonly acknowledgement_comment: string | null;
  readonly acknowledging_username: string | null;
}

const COLUMNS =
  'id, project_id, source_id, cluster_name, event_type, status, created_at, updated_at, resolved_at, last_notified, acknowledged_until, acknowledgement_comment, acknowledging_username';

/** Null ends an acknowledgement. */
export interface Acknowledgement {
  readonly until: Date;
  readonly comment: string | null;
  readonly by: string;
}

/** What has the condition: a key configuration, or a cluster. */
export interface AlertSource {
  readonly id: string;
  readonly projectId: string;
  /** Left out for what concerns a whole project. */
  readonly clusterName?: string;
}

export class AlertRepository {
  constructor(private readonly database: ServiceDatabase) {}

  /** `no-change`: it was open already, or there was nothing to end. */
  async apply(tx: Transaction, source: AlertSource, change: AlertChange, now: Date): Promise<'changed' | 'no-change'> {
    const written =
      change.change === 'open'
        ? await rows(
            tx,
            `INSERT INTO alert (id, project_id, source_id, cluster_name, event_type, status, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, 'OPEN', $6, $7)
             ON CONFLICT (source_id, event_type) WHERE status = 'OPEN' DO NOTHING RETURNING id`,
            [newObjectId(now), source.projectId, source.id, source.clusterName ?? null, change.eventType, change.since, now],
          )
        : await rows(
            tx,
            `UPDATE alert SET status = $1, updated_at = $2, resolved_at = $2 WHERE source_id = $3 AND event_type = $4 AND status IN ('OPEN')
             RETURNING id`,
            [change.change === 'close' ? 'CLOSED' : 'CANCELLED', now, source.id, change.eventType],
          );
    return written.length === 1 ? 'changed' : 'no-change';
  }

  /** The latest alert of a condition, open or not. */
  async latest(tx: Transaction, sourceId: string, eventType: AlertEventType): Promise<Alert | null> {
    const found = await rows<Row>(
      tx,
      `SELECT ${COLUMNS} FROM alert WHERE source_id = $1 AND event_type = $2 ORDER BY created_at DESC, id DESC LIMIT 1`,
      [sourceId, eventType],
    );
    return found[0] === undefined ? null : fromRow(found[0]);
  }

  /** Those of a source that are open. */
  async openOf(tx: Transaction, sourceId: string): Promise<Alert[]> {
    const found = await rows<Row>(tx, `SELECT ${COLUMNS} FROM alert WHERE source_id = $1 AND status = 'OPEN' ORDER BY created_at`, [
      sourceId,
    ]);
    return found.map(fromRow);
  }

  async notified(tx: Transaction, id: string, now: Date): Promise<void> {
    await rows(tx, 'UPDATE alert SET last_notified = $1 WHERE id = $2', [now, id]);
  }

  /** Null when the project has no such alert. */
  async acknowledge(projectId: string, id: string, acknowledgement: Acknowledgement | null, now: Date): Promise<Alert | null> {
    const { until = null, comment = null, by = null } = acknowledgement ?? {};
    const written = await this.database.query<Row>(
      `UPDATE alert SET acknowledged_until = $1, acknowledgement_comment = $2, acknowledging_username = $3, updated_at = $4
       WHERE project_id = $5 AND id = $6 RETURNING ${COLUMNS}`,
      [until, comment, by, now, projectId, id],
    );
    return written[0] === undefined ? null : fromRow(written[0]);
  }

  /** Newest first. */
  async list(
    projectId: string,
    o: { readonly status?: string | undefined; readonly eventType?: AlertEventType; readonly offset: number; readonly limit: number },
  ): Promise<{ readonly alerts: Alert[]; readonly total: number }> {
    const condition = `project_id = $1 AND ($2::text IS NULL OR status = $2) AND ($3::text IS NULL OR event_type = $3)`;
    const parameters = [projectId, o.status ?? null, o.eventType ?? null];
    const counted = await this.database.query<{ total: number }>(`SELECT count(*)::int AS total FROM alert WHERE ${condition}`, parameters);
    const found = await this.database.query<Row>(
      `SELECT ${COLUMNS} FROM alert WHERE ${condition} ORDER BY created_at DESC, id DESC OFFSET $4 LIMIT $5`,
      [...parameters, o.offset, o.limit],
    );
    return { alerts: found.map(fromRow), total: counted[0]?.total ?? 0 };
  }

  async find(projectId: string, id: string): Promise<Alert | null> {
    const found = await this.database.query<Row>(`SELECT ${COLUMNS} FROM alert WHERE project_id = $1 AND id = $2`, [projectId, id]);
    return found[0] === undefined ? null : fromRow(found[0]);
  }
}

const fromRow = (row: Row): Alert => ({
  id: row.id,
  projectId: row.project_id,
  sourceId: row.source_id,
  clusterName: row.cluster_name,
  eventType: row.event_type,
  status: row.status,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
  resolvedAt: row.resolved_at,
  lastNotified: row.last_notified,
  acknowledgedUntil: row.acknowledged_until,
  acknowledgementComment: row.acknowledgement_comment,
  acknowledgingUsername: row.acknowledging_username,
});
