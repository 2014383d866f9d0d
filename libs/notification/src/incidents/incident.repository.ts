import { newObjectId, type BreakerIncident, type KeyConfigurationState } from '@atrest/contracts';
import { rows, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';
import { HELD_CAUSE, type EntryOutcome, type Incident, type IncidentChange, type IncidentEntry, type IncidentKind } from './incident.js';

interface IncidentRow {
  readonly id: string;
  readonly kind: IncidentKind;
  readonly cause: string;
  readonly opened_at: Date;
  readonly pages: number;
  readonly breaker: BreakerIncident | null;
}

interface EntryRow {
  readonly project_id: string;
  readonly project_name: string | null;
  readonly org_id: string | null;
  readonly state: KeyConfigurationState;
  readonly since: Date;
  readonly outcome: EntryOutcome;
  readonly decided_by: string | null;
  readonly overdue: boolean;
  readonly told: boolean;
  readonly clusters: number;
}

/** When a message about an incident is due. */
export interface PageTimes {
  readonly now: Date;
  /** After what happened: others that are hit by the same will be heard of meanwhile. */
  readonly collectMs: number;
  /** Between two messages about one incident. */
  readonly pauseMs: number;
}

export class IncidentRepository {
  constructor(private readonly database: ServiceDatabase) {}

  /** `opened`: it is the first that was heard of the incident. `known-already`: it was part of one that is closed. */
  async apply(
    tx: Transaction,
    configuration: KeyConfigurationState,
    change: IncidentChange,
    times: PageTimes,
  ): Promise<'opened' | 'applied' | 'known-already'> {
    if (change.change === 'settle') {
      await this.settle(tx, configuration.id, change, times);
      return 'applied';
    }
    // One trouble of one configuration is known by when it began: a rebuild of the projections hears of it once more.
    const over = await rows(
      tx,
      `SELECT 1 FROM operator_incident_entry e JOIN operator_incident i ON i.id = e.incident_id
       WHERE e.configuration_id = $1 AND e.kind = $2 AND e.since = $3 AND i.closed_at IS NOT NULL LIMIT 1`,
      [configuration.id, change.kind, change.since],
    );
    if (over.length > 0) return 'known-already';
    const { id, opened } = await this.open(tx, change.kind, change.cause, times);
    await rows(
      tx,
      `INSERT INTO operator_incident_entry (incident_id, configuration_id, project_id, kind, outcome, since, state, overdue)
       VALUES ($1, $2, $3, $4, 'OPEN', $5, $6, $7)
       ON CONFLICT (incident_id, configuration_id) DO UPDATE SET outcome = 'OPEN', decided_by = NULL, since = EXCLUDED.since, state = EXCLUDED.state,
         overdue = EXCLUDED.overdue, told = operator_incident_entry.told AND operator_incident_entry.outcome = 'OPEN'`,
      [id, configuration.id, configuration.projectId, change.kind, change.since, JSON.stringify(configuration), change.overdue],
    );
    return opened ? 'opened' : 'applied';
  }

  /** What the breaker itself says. It may come before or after the configurations that it held. */
  async applyBreaker(tx: Transaction, breaker: BreakerIncident, times: PageTimes): Promise<'opened' | 'applied' | 'known-already'> {
    const known = await rows(tx, `SELECT 1 FROM operator_incident WHERE (breaker ->> 'openedAt')::timestamptz >= $1`, [breaker.openedAt]);
    if (known.length > 0) return 'known-already';
    const { id, opened } = await this.open(tx, 'SHUTDOWNS_HELD', HELD_CAUSE, times);
    await rows(tx, 'UPDATE operator_incident SET breaker = $1 WHERE id = $2', [JSON.stringify(breaker), id]);
    return opened ? 'opened' : 'applied';
  }

  /** The open incident of a cause, made when there is none, locked, with something to tell. */
  private async open(tx: Transaction, kind: IncidentKind, cause: string, times: PageTimes): Promise<{ id: string; opened: boolean }> {
    const made = await rows<{ id: string }>(
      tx,
      `INSERT INTO operator_incident (id, kind, cause, opened_at) VALUES ($1, $2, $3, $4)
       ON CONFLICT (cause) WHERE closed_at IS NULL DO NOTHING RETURNING id`,
      [newObjectId(times.now), kind, cause, times.now],
    );
    const [incident] = await rows<{ id: string }>(
      tx,
      'SELECT id FROM operator_incident WHERE cause = $1 AND closed_at IS NULL FOR UPDATE',
      [cause],
    );
    // Closed between the two statements: whoever handles the event again opens the next one.
    if (incident === undefined) throw new IncidentClosedError(cause);
    await this.planPage(tx, incident.id, times);
    return { id: incident.id, opened: made.length === 1 };
  }

  private async settle(
    tx: Transaction,
    configurationId: string,
    change: IncidentChange & { change: 'settle' },
    times: PageTimes,
  ): Promise<void> {
    // A decision may be taken back; what happened after it does not undo who decided.
    const before = change.outcome === 'RELEASED' || change.outcome === 'CANCELLED' ? ['OPEN', 'RELEASED', 'CANCELLED'] : ['OPEN'];
    const incidents = await rows<{ id: string }>(
      tx,
      `SELECT id FROM operator_incident WHERE closed_at IS NULL AND id IN (
         SELECT incident_id FROM operator_incident_entry WHERE configuration_id = $1 AND kind = $2 AND outcome = ANY($3)) FOR UPDATE`,
      [configurationId, change.kind, before],
    );
    for (const { id } of incidents) {
      await rows(
        tx,
        `UPDATE operator_incident_entry SET outcome = $1, decided_by = $2, overdue = false
         WHERE incident_id = $3 AND configuration_id = $4 AND outcome = ANY($5)`,
        [change.outcome, change.by, id, configurationId, before],
      );
      await this.planPage(tx, id, times);
    }
  }

  private async planPage(tx: Transaction, id: string, { now, collectMs, pauseMs }: PageTimes): Promise<void> {
    await rows(
      tx,
      `UPDATE operator_incident SET page_at = GREATEST($2::timestamptz, paged_at + $3 * interval '1 millisecond') WHERE id = $1 AND page_at IS NULL`,
      [id, new Date(now.getTime() + collectMs), pauseMs],
    );
  }

  /** One incident that something is to be told of, locked for this transaction; null when there is none. */
  async due(tx: Transaction, now: Date): Promise<Incident | null> {
    const [row] = await rows<IncidentRow>(
      tx,
      `SELECT id, kind, cause, opened_at, pages, breaker FROM operator_incident WHERE page_at <= $1 ORDER BY page_at LIMIT 1 FOR UPDATE SKIP LOCKED`,
      [now],
    );
    if (row === undefined) return null;
    return { id: row.id, kind: row.kind, cause: row.cause, openedAt: row.opened_at, pages: row.pages, breaker: row.breaker };
  }

  /** By project and provider. */
  async entries(tx: Transaction, incidentId: string): Promise<IncidentEntry[]> {
    const found = await rows<EntryRow>(
      tx,
      `SELECT e.project_id, p.name AS project_name, p.org_id, e.state, e.since, e.outcome, e.decided_by, e.overdue, e.told,
         (SELECT count(*)::int FROM cluster c WHERE c.project_id = e.project_id AND c.provider = e.state ->> 'provider' AND c.deleted_at IS NULL) AS clusters
       FROM operator_incident_entry e LEFT JOIN project p ON p.id = e.project_id
       WHERE e.incident_id = $1 ORDER BY p.name, e.project_id, e.configuration_id`,
      [incidentId],
    );
    return found.map((row) => ({
      project: { id: row.project_id, name: row.project_name ?? row.project_id, orgId: row.org_id },
      state: row.state,
      since: row.since,
      outcome: row.outcome,
      decidedBy: row.decided_by,
      overdue: row.overdue,
      told: row.told,
      clusters: row.clusters,
    }));
  }

  /** What was to be told is told, or was nothing. */
  async looked(tx: Transaction, id: string, o: { readonly paged: boolean; readonly closes: boolean; readonly now: Date }): Promise<void> {
    await rows(
      tx,
      `UPDATE operator_incident SET page_at = NULL, pages = pages + $2, paged_at = CASE WHEN $2 = 1 THEN $3 ELSE paged_at END,
         closed_at = CASE WHEN $4 THEN $3 ELSE closed_at END WHERE id = $1 AND closed_at IS NULL`,
      [id, o.paged ? 1 : 0, o.now, o.closes],
    );
    if (o.paged) await rows(tx, 'UPDATE operator_incident_entry SET told = true, overdue = false WHERE incident_id = $1', [id]);
  }

  /** When something is to be told next; null when nothing is. */
  async nextDueAt(): Promise<Date | null> {
    const found = await this.database.query<{ due: Date | null }>('SELECT min(page_at) AS due FROM operator_incident');
    return found[0]?.due ?? null;
  }
}

/** An incident was closed while something joined it; the event is handled again in a moment. */
export class IncidentClosedError extends Error {
  readonly code = 'NOTIFICATION.INCIDENT_CLOSED';

  constructor(cause: string) {
    super(`The incident ${cause} was closed at this moment.`);
    this.name = 'IncidentClosedError';
  }
}
