import { rows, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';
import type { AlertEventType } from './alert.js';
import { alertConfigIdOf, type AlertConfig } from './alert-config.js';

interface Row {
  readonly id: string;
  readonly project_id: string;
  readonly event_type: AlertEventType;
  readonly enabled: boolean;
  readonly created_at: Date;
  readonly updated_at: Date;
}

const COLUMNS = 'id, project_id, event_type, enabled, created_at, updated_at';

export class AlertConfigRepository {
  constructor(private readonly database: ServiceDatabase) {}

  /** Makes those of these types; they are enabled. Those that exist stay as they are. */
  async ensure(tx: Transaction, projectId: string, types: readonly AlertEventType[], now: Date): Promise<void> {
    await rows(
      tx,
      `INSERT INTO alert_config (id, project_id, event_type, enabled, created_at, updated_at)
       SELECT id, $1, event_type, true, $2, $2 FROM unnest($3::text[], $4::text[]) AS each (id, event_type) ON CONFLICT DO NOTHING`,
      [projectId, now, types.map((type) => alertConfigIdOf(projectId, type)), types],
    );
  }

  /** The event types of which the project does not want to hear. */
  async disabled(tx: Transaction, projectId: string): Promise<ReadonlySet<AlertEventType>> {
    const found = await rows<Pick<Row, 'event_type'>>(tx, 'SELECT event_type FROM alert_config WHERE project_id = $1 AND NOT enabled', [
      projectId,
    ]);
    return new Set(found.map((row) => row.event_type));
  }

  /** By event type. */
  async list(projectId: string): Promise<AlertConfig[]> {
    const found = await this.database.query<Row>(`SELECT ${COLUMNS} FROM alert_config WHERE project_id = $1 ORDER BY event_type`, [
      projectId,
    ]);
    return found.map(fromRow);
  }

  async find(projectId: string, id: string): Promise<AlertConfig | null> {
    const found = await this.database.query<Row>(`SELECT ${COLUMNS} FROM alert_config WHERE project_id = $1 AND id = $2`, [projectId, id]);
    return found[0] === undefined ? null : fromRow(found[0]);
  }

  /** Null when there is no such configuration. Disabling cancels the alerts that are open. */
  async setEnabled(projectId: string, id: string, enabled: boolean, now: Date): Promise<AlertConfig | null> {
    return this.database.transaction(async (tx) => {
      const [config] = await rows<Row>(tx, `SELECT ${COLUMNS} FROM alert_config WHERE project_id = $1 AND id = $2 FOR UPDATE`, [
        projectId,
        id,
      ]);
      if (config === undefined || config.enabled === enabled) return config === undefined ? null : fromRow(config);
      await rows(tx, 'UPDATE alert_config SET enabled = $1, updated_at = $2 WHERE id = $3', [enabled, now, id]);
      if (!enabled) {
        await rows(
          tx,
          `UPDATE alert SET status = 'CANCELLED', updated_at = $1, resolved_at = $1 WHERE project_id = $2 AND event_type = $3 AND status IN ('OPEN')`,
          [now, projectId, config.event_type],
        );
      }
      return fromRow({ ...config, enabled, updated_at: now });
    });
  }
}

const fromRow = (row: Row): AlertConfig => ({
  id: row.id,
  projectId: row.project_id,
  eventType: row.event_type,
  enabled: row.enabled,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
});
