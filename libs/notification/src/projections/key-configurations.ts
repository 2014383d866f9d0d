import type { KeyConfigurationState } from '@atrest/contracts';
import { rows, type Transaction } from '@atrest/platform-persistence';

/** How far the events of each key configuration are known: what is older, or the same again, has no effect. */
export class KeyConfigurationProjection {
  async remember(tx: Transaction, configuration: KeyConfigurationState): Promise<'remembered' | 'known-already'> {
    const written = await rows(
      tx,
      `INSERT INTO key_configuration (id, project_id, revision) VALUES ($1, $2, $3)
       ON CONFLICT (id) DO UPDATE SET revision = EXCLUDED.revision WHERE key_configuration.revision < EXCLUDED.revision RETURNING id`,
      [configuration.id, configuration.projectId, configuration.revision],
    );
    return written.length === 1 ? 'remembered' : 'known-already';
  }
}
