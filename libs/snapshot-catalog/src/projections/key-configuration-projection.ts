import type {
  DefinitiveReason,
  EnforcementMode,
  KeyConfigurationState,
  KeyProviderName,
  TransientReason,
  ValidityState,
} from '@atrest/contracts';
import { rows, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';

/** A key configuration as it is remembered. */
export interface KnownKeyConfiguration {
  readonly id: string;
  readonly projectId: string;
  readonly provider: KeyProviderName;
  readonly enabled: boolean;
  readonly state: ValidityState;
  readonly mode: EnforcementMode;
  readonly keyId: string;
  readonly resolvedKeyId: string | null;
  readonly epoch: number;
  /** Of the last definitive verdict while it is INVALID, or HELD. */
  readonly reason: DefinitiveReason | TransientReason | null;
  readonly invalidSince: Date | null;
  readonly unreachableSince: Date | null;
  readonly lastProvenAt: Date | null;
  readonly revision: number;
}

const SELECT = `SELECT id, project_id AS "projectId", provider, enabled, state, mode, key_id AS "keyId", resolved_key_id AS "resolvedKeyId", epoch, reason,
    invalid_since AS "invalidSince", unreachable_since AS "unreachableSince", last_proven_at AS "lastProvenAt", revision
  FROM key_configuration`;

/** What is remembered of `kms-validation`'s key configurations. An older state never replaces a newer one. */
export class KeyConfigurationProjection {
  constructor(private readonly database: ServiceDatabase) {}

  async remember(tx: Transaction, configuration: KeyConfigurationState): Promise<'remembered' | 'known-already'> {
    const written = await rows(
      tx,
      `INSERT INTO key_configuration (id, project_id, provider, enabled, state, mode, key_id, resolved_key_id, epoch, reason, invalid_since,
         unreachable_since, last_proven_at, revision)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
       ON CONFLICT (id) DO UPDATE SET enabled = EXCLUDED.enabled, state = EXCLUDED.state, mode = EXCLUDED.mode, key_id = EXCLUDED.key_id,
         resolved_key_id = EXCLUDED.resolved_key_id, epoch = EXCLUDED.epoch, reason = EXCLUDED.reason, invalid_since = EXCLUDED.invalid_since,
         unreachable_since = EXCLUDED.unreachable_since, last_proven_at = EXCLUDED.last_proven_at, revision = EXCLUDED.revision
       WHERE key_configuration.revision < EXCLUDED.revision RETURNING id`,
      [
        configuration.id,
        configuration.projectId,
        configuration.provider,
        configuration.enabled,
        configuration.state,
        configuration.mode,
        configuration.keyId,
        configuration.resolvedKeyId,
        configuration.epoch ?? 1,
        configuration.state === 'INVALID' || configuration.state === 'HELD' ? (configuration.evidence.at(-1)?.reason ?? null) : null,
        configuration.invalidSince,
        configuration.unreachableSince,
        configuration.lastProvenAt,
        configuration.revision,
      ],
    );
    return written.length === 1 ? 'remembered' : 'known-already';
  }

  /** The enabled configuration of a project for a provider. */
  async enabled(tx: Transaction, projectId: string, provider: KeyProviderName): Promise<KnownKeyConfiguration | null> {
    const found = await rows<KnownKeyConfiguration>(
      tx,
      `${SELECT} WHERE project_id = $1 AND provider = $2 AND enabled ORDER BY id DESC LIMIT 1`,
      [projectId, provider],
    );
    return found[0] ?? null;
  }

  /** All of a project, those that were turned off included: snapshots may still depend on their keys. */
  async ofProject(projectId: string): Promise<KnownKeyConfiguration[]> {
    return this.database.query<KnownKeyConfiguration>(`${SELECT} WHERE project_id = $1 ORDER BY id`, [projectId]);
  }
}
