import type { EnforcementMode, KeyConfigurationState, KeyProviderName } from '@atrest/contracts';
import { rows, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';

/** What was known of a key configuration before an event; null where no event said so. */
export interface KnownBefore {
  readonly mode: EnforcementMode | null;
  readonly epoch: number | null;
}

/** How far the events of each key configuration are known: what is older, or the same again, has no effect. */
export class KeyConfigurationProjection {
  constructor(private readonly database: ServiceDatabase) {}

  /** What was known before it; `known-already` for what is no news. */
  async remember(tx: Transaction, configuration: KeyConfigurationState): Promise<KnownBefore | 'known-already'> {
    const before = await rows<KnownBefore>(tx, 'SELECT mode, epoch FROM key_configuration WHERE id = $1 FOR UPDATE', [configuration.id]);
    const written = await rows(
      tx,
      `INSERT INTO key_configuration (id, project_id, provider, mode, epoch, rotation_reminder_days, revision) VALUES ($1, $2, $3, $4, $5, $6, $7)
       ON CONFLICT (id) DO UPDATE SET provider = EXCLUDED.provider, mode = EXCLUDED.mode, epoch = EXCLUDED.epoch,
         rotation_reminder_days = CASE WHEN $8 THEN EXCLUDED.rotation_reminder_days ELSE key_configuration.rotation_reminder_days END,
         revision = EXCLUDED.revision
       WHERE key_configuration.revision < EXCLUDED.revision RETURNING id`,
      [
        configuration.id,
        configuration.projectId,
        configuration.provider,
        configuration.mode,
        configuration.epoch ?? null,
        configuration.rotation?.reminderDays ?? null,
        configuration.revision,
        // Not every event tells of it.
        configuration.rotation !== undefined,
      ],
    );
    return written.length === 1 ? (before[0] ?? { mode: null, epoch: null }) : 'known-already';
  }

  /** After how many days without a rotation the project is reminded, as `kms-validation` told last; null when it never did. */
  async rotationReminderDays(projectId: string, provider: KeyProviderName): Promise<number | null> {
    const found = await this.database.query<{ days: number | null }>(
      'SELECT rotation_reminder_days AS days FROM key_configuration WHERE project_id = $1 AND provider = $2 ORDER BY revision DESC LIMIT 1',
      [projectId, provider],
    );
    return found[0]?.days ?? null;
  }
}
