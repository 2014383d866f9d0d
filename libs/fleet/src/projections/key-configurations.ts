import type { EncryptionAtRestProvider, KeyConfigurationState } from '@atrest/contracts';
import { rows, type Transaction } from '@atrest/platform-persistence';
import type { ClusterFact } from '../clusters/cluster-state.js';
import type { Query } from '../query.js';

/** `older`: a later state is stored already, the event changes nothing. */
export async function rememberKeyConfiguration(tx: Transaction, state: KeyConfigurationState): Promise<'remembered' | 'older'> {
  const written = await rows(
    tx,
    `INSERT INTO key_configuration AS known (id, project_id, provider, enabled, state, mode, data, revision)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
     ON CONFLICT (id) DO UPDATE
        SET enabled = EXCLUDED.enabled, state = EXCLUDED.state, mode = EXCLUDED.mode, data = EXCLUDED.data, revision = EXCLUDED.revision
      WHERE known.revision < EXCLUDED.revision
     RETURNING id`,
    [state.id, state.projectId, state.provider, state.enabled, state.state, state.mode, JSON.stringify(state), state.revision],
  );
  return written.length === 1 ? 'remembered' : 'older';
}

/** The project's configuration for a provider: the one in use when there was another before. */
export async function findKeyConfiguration(
  query: Query,
  projectId: string,
  provider: EncryptionAtRestProvider,
  lock: 'FOR SHARE' | '' = '',
): Promise<KeyConfigurationState | undefined> {
  if (provider === 'NONE') return undefined;
  const [row] = await query<{ data: KeyConfigurationState }>(
    `SELECT data FROM key_configuration WHERE project_id = $1 AND provider = $2 ORDER BY enabled DESC, id DESC LIMIT 1 ${lock}`,
    [projectId, provider],
  );
  return row?.data;
}

/** What the provider said last, in one line. */
function detailOf(configuration: KeyConfigurationState): string {
  const evidence = configuration.evidence.findLast((each) => each.verdict === 'definitive');
  if (evidence === undefined) return 'The key configuration is invalid.';
  const words = evidence.message ?? evidence.errorName;
  return words === null ? String(evidence.reason) : `${evidence.reason}: ${words}`;
}

/**
 * What a key configuration means for the clusters that use it; null when it means nothing: turned off, invalid but only observed, or not known.
 * SUSPECT counts as usable: only a confirmed definitive reason stops a database.
 */
export function keyFact(configuration: KeyConfigurationState | undefined, now: Date): ClusterFact | null {
  if (configuration === undefined || !configuration.enabled) return null;
  if (configuration.state !== 'INVALID') return { kind: 'key-usable' };
  if (configuration.mode !== 'enforce') return null;
  return {
    kind: 'key-invalid',
    reason: {
      code: 'KEY_CONFIGURATION_INVALID',
      keyConfigurationId: configuration.id,
      provider: configuration.provider,
      keyId: configuration.resolvedKeyId ?? configuration.keyId,
      detail: detailOf(configuration),
      since: configuration.invalidSince ?? now.toISOString(),
    },
  };
}
