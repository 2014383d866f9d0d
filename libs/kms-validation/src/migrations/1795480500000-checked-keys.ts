import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * One check per key: due time, lease and latest result move from each configuration to the key it shares with others. Configurations from before are
 * checked on their own until they are saved again: what they share is not visible in SQL, because credentials are sealed.
 */
export class CheckedKeys1795480500000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      CREATE TABLE checked_key (
        -- Digest of key and credentials, or 'alone/<configuration>' for one that must not share.
        id                  text        PRIMARY KEY,
        provider            text        NOT NULL CHECK (provider IN ('AWS', 'AZURE', 'GCP', 'KMIP')),
        next_check_at       timestamptz NOT NULL,
        -- When next_check_at was decided: a moment of the future means that the clock was set back since.
        planned_at          timestamptz NOT NULL,
        last_evidence       jsonb,
        last_proven_at      timestamptz,
        last_wrap_proof_at  timestamptz NOT NULL,
        -- Whose canary was unwrapped last; the next one's turn is next.
        last_member_id      text,
        sampled_at          timestamptz,
        checks_since_sample integer     NOT NULL DEFAULT 0,
        -- Who checks it now, and until when others keep away.
        lease_token         text,
        lease_owner         text,
        lease_until         timestamptz
      )`);
    await queryRunner.query('CREATE INDEX checked_key_due ON checked_key (next_check_at)');
    await queryRunner.query(`
      INSERT INTO checked_key (id, provider, next_check_at, planned_at, last_evidence, last_proven_at, last_wrap_proof_at)
      SELECT 'alone/' || id, provider, next_check_at, updated_at, last_evidence, last_proven_at, last_wrap_proof_at FROM key_configuration`);
    await queryRunner.query('ALTER TABLE key_configuration ADD COLUMN checked_key_id text REFERENCES checked_key (id)');
    await queryRunner.query(`UPDATE key_configuration SET checked_key_id = 'alone/' || id`);
    await queryRunner.query(`
      ALTER TABLE key_configuration
        ALTER COLUMN checked_key_id SET NOT NULL,
        ADD COLUMN epoch integer NOT NULL DEFAULT 1,
        DROP COLUMN next_check_at, DROP COLUMN last_wrap_proof_at, DROP COLUMN lease_token, DROP COLUMN lease_owner, DROP COLUMN lease_until`);
    await queryRunner.query('CREATE INDEX key_configuration_checked_key ON key_configuration (checked_key_id)');
    // From a row per check to a row per change of the result and hour: most rows would say the same as the one before.
    await queryRunner.query(`
      ALTER TABLE validity_check
        ADD COLUMN checked_key_id text,
        ADD COLUMN checks integer NOT NULL DEFAULT 1,
        DROP COLUMN revision, DROP COLUMN state_after`);
    await queryRunner.query(`UPDATE validity_check SET checked_key_id = 'alone/' || configuration_id`);
    await queryRunner.query('ALTER TABLE validity_check ALTER COLUMN checked_key_id SET NOT NULL');
    await queryRunner.query('DROP INDEX validity_check_of_configuration');
    await queryRunner.query('ALTER TABLE validity_check DROP COLUMN configuration_id');
    await queryRunner.query('CREATE INDEX validity_check_of_key ON validity_check (checked_key_id, checked_at)');
    await queryRunner.query(`
      CREATE TABLE validity_change (
        id               bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        configuration_id text        NOT NULL,
        project_id       text        NOT NULL,
        provider         text        NOT NULL,
        mode             text        NOT NULL,
        changed_at       timestamptz NOT NULL,
        from_state       text        NOT NULL,
        to_state         text        NOT NULL,
        evidence         jsonb       NOT NULL
      )`);
    await queryRunner.query('CREATE INDEX validity_change_of_configuration ON validity_change (configuration_id, changed_at)');
    await queryRunner.query('CREATE INDEX validity_change_age ON validity_change USING brin (changed_at)');
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('DROP TABLE validity_change');
    await queryRunner.query(`
      ALTER TABLE validity_check
        ADD COLUMN configuration_id text NOT NULL DEFAULT '', ADD COLUMN revision integer NOT NULL DEFAULT 0,
        ADD COLUMN state_after text NOT NULL DEFAULT 'VALID', DROP COLUMN checked_key_id, DROP COLUMN checks`);
    await queryRunner.query('CREATE INDEX validity_check_of_configuration ON validity_check (configuration_id, checked_at)');
    await queryRunner.query(`
      ALTER TABLE key_configuration
        ADD COLUMN next_check_at timestamptz, ADD COLUMN last_wrap_proof_at timestamptz,
        ADD COLUMN lease_token text, ADD COLUMN lease_owner text, ADD COLUMN lease_until timestamptz`);
    await queryRunner.query(`
      UPDATE key_configuration c SET next_check_at = k.next_check_at, last_wrap_proof_at = k.last_wrap_proof_at
      FROM checked_key k WHERE k.id = c.checked_key_id`);
    await queryRunner.query(`
      ALTER TABLE key_configuration
        ALTER COLUMN next_check_at SET NOT NULL, ALTER COLUMN last_wrap_proof_at SET NOT NULL, DROP COLUMN checked_key_id, DROP COLUMN epoch`);
    await queryRunner.query('CREATE INDEX key_configuration_due ON key_configuration (next_check_at)');
    await queryRunner.query('DROP TABLE checked_key');
  }
}
