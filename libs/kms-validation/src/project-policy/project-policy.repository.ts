import { rows, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';
import { DEFAULT_PROJECT_POLICY, DEFAULT_REMINDER_DAYS, type ProjectPolicy } from './project-policy.js';

/** What is stored. */
type Stored = Omit<ProjectPolicy, 'revision'>;

/** Policies of projects in the database. */
export class ProjectPolicyRepository {
  /** What holds for projects that decided nothing. */
  readonly defaults: ProjectPolicy;

  constructor(
    private readonly database: ServiceDatabase,
    rotationReminderDays: number | null = DEFAULT_REMINDER_DAYS,
  ) {
    this.defaults = { ...DEFAULT_PROJECT_POLICY, rotationReminderDays };
  }

  async find(projectId: string): Promise<ProjectPolicy> {
    return (await this.findAll([projectId])).get(projectId) ?? this.defaults;
  }

  /** Those that decided anything. */
  async findAll(projectIds: readonly string[]): Promise<Map<string, ProjectPolicy>> {
    const found = await this.database.query<{ project_id: string; settings: Stored; revision: number }>(
      'SELECT project_id, settings, revision FROM project_policy WHERE project_id = ANY ($1)',
      [projectIds],
    );
    return new Map(found.map(({ project_id: id, settings, revision }) => [id, { ...this.defaults, ...settings, revision }]));
  }

  /** Writes over the revision that the change was decided on. */
  async save(tx: Transaction, projectId: string, policy: ProjectPolicy, at: Date, by: string): Promise<'written' | 'changed-meanwhile'> {
    const { revision, ...settings } = policy;
    const written = await rows(
      tx,
      `INSERT INTO project_policy (project_id, settings, revision, updated_at, updated_by) VALUES ($1, $2, $3, $4, $5)
       ON CONFLICT (project_id) DO UPDATE
          SET settings = EXCLUDED.settings, revision = EXCLUDED.revision, updated_at = EXCLUDED.updated_at, updated_by = EXCLUDED.updated_by
        WHERE project_policy.revision = EXCLUDED.revision - 1
       RETURNING project_id`,
      [projectId, JSON.stringify(settings), revision, at, by],
    );
    return written.length === 1 ? 'written' : 'changed-meanwhile';
  }

  async remove(tx: Transaction, projectId: string): Promise<void> {
    await rows(tx, 'DELETE FROM project_policy WHERE project_id = $1 RETURNING project_id', [projectId]);
  }
}
