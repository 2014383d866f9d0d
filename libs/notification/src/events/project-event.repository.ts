import { newObjectId } from '@atrest/contracts';
import { rows, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';
import type { ProjectEvent } from './project-event.js';

interface Row {
  readonly id: string;
  readonly project_id: string;
  readonly cluster_name: string | null;
  readonly event_type: string;
  readonly created_at: Date;
}

export interface EventFilter {
  /** Empty: all. With names, what concerns no cluster is not among them. */
  readonly clusterNames: readonly string[];
  readonly eventTypes: readonly string[];
  readonly excludedEventTypes: readonly string[];
  readonly minDate: Date | null;
  readonly maxDate: Date | null;
}

const COLUMNS = 'id, project_id, cluster_name, event_type, created_at';

/** Which state of what an event tells of. */
export interface EventSource {
  /** Of a key configuration, a snapshot, or the backups of a cluster. */
  readonly id: string;
  readonly projectId: string;
  readonly clusterName?: string;
  readonly revision: number;
}

export class ProjectEventRepository {
  constructor(private readonly database: ServiceDatabase) {}

  /** The same event of a source is added once. */
  async add(tx: Transaction, { id, projectId, clusterName, revision }: EventSource, eventType: string, at: Date): Promise<void> {
    await rows(
      tx,
      `INSERT INTO project_event (id, project_id, cluster_name, event_type, created_at, source_id, revision) VALUES ($1, $2, $3, $4, $5, $6, $7)
       ON CONFLICT (source_id, revision, event_type) DO NOTHING`,
      [newObjectId(at), projectId, clusterName ?? null, eventType, at, id, revision],
    );
  }

  /** Up to which of its states a source is known; 0 when it is not, or was forgotten. */
  async revisionOf(tx: Transaction, sourceId: string): Promise<number> {
    const found = await rows<{ revision: number }>(
      tx,
      'SELECT COALESCE(max(revision), 0)::int AS revision FROM project_event WHERE source_id = $1',
      [sourceId],
    );
    return found[0]?.revision ?? 0;
  }

  /** Newest first. */
  async list(
    projectId: string,
    filter: EventFilter,
    rowsAsked: { readonly offset: number; readonly limit: number },
  ): Promise<{ readonly events: ProjectEvent[]; readonly total: number }> {
    const condition = `project_id = $1 AND (cardinality($2::text[]) = 0 OR event_type = ANY($2)) AND event_type <> ALL($3::text[])
      AND ($4::timestamptz IS NULL OR created_at >= $4) AND ($5::timestamptz IS NULL OR created_at <= $5)
      AND (cardinality($6::text[]) = 0 OR cluster_name = ANY($6))`;
    const parameters = [projectId, filter.eventTypes, filter.excludedEventTypes, filter.minDate, filter.maxDate, filter.clusterNames];
    const counted = await this.database.query<{ total: number }>(
      `SELECT count(*)::int AS total FROM project_event WHERE ${condition}`,
      parameters,
    );
    const found = await this.database.query<Row>(
      `SELECT ${COLUMNS} FROM project_event WHERE ${condition} ORDER BY created_at DESC, id DESC OFFSET $7 LIMIT $8`,
      [...parameters, rowsAsked.offset, rowsAsked.limit],
    );
    return { events: found.map(fromRow), total: counted[0]?.total ?? 0 };
  }

  async find(projectId: string, id: string): Promise<ProjectEvent | null> {
    const found = await this.database.query<Row>(`SELECT ${COLUMNS} FROM project_event WHERE project_id = $1 AND id = $2`, [projectId, id]);
    return found[0] === undefined ? null : fromRow(found[0]);
  }

  /** Forgets what is older. */
  async prune(before: Date): Promise<void> {
    await this.database.query('DELETE FROM project_event WHERE created_at < $1', [before]);
  }
}

const fromRow = (row: Row): ProjectEvent => ({
  id: row.id,
  projectId: row.project_id,
  clusterName: row.cluster_name,
  eventType: row.event_type,
  createdAt: row.created_at,
});
