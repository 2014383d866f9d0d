import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Policies of projects, held shutdowns, and how far people were told of a KMS that cannot be asked. */
export class ValidityPolicies1795480600000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      ALTER TABLE key_configuration
        ADD COLUMN fail_closed boolean NOT NULL DEFAULT false,
        ADD COLUMN hold jsonb,
        ADD COLUMN unreachable_alerts integer NOT NULL DEFAULT 0,
        DROP CONSTRAINT key_configuration_state_check,
        ADD CONSTRAINT key_configuration_state_check CHECK (state IN ('VALID', 'SUSPECT', 'HELD', 'INVALID')),
        ADD CONSTRAINT key_configuration_hold_check CHECK ((state = 'HELD') = (hold IS NOT NULL))`);
    await queryRunner.query('UPDATE key_configuration SET unreachable_alerts = 1 WHERE unreachable_announced');
    await queryRunner.query('ALTER TABLE key_configuration DROP COLUMN unreachable_announced');
    // The breaker counts what is not VALID; that is little, until it is not.
    await queryRunner.query(`CREATE INDEX key_configuration_failing ON key_configuration (state, state_since) WHERE state <> 'VALID'`);
    await queryRunner.query(`
      CREATE TABLE project_policy (
        project_id text        PRIMARY KEY,
        -- What the project decided for itself; what it did not follows the installation.
        settings   jsonb       NOT NULL,
        revision   integer     NOT NULL,
        updated_at timestamptz NOT NULL,
        updated_by text        NOT NULL
      )`);
    await queryRunner.query(`
      CREATE TABLE breaker_incident (
        id        text        PRIMARY KEY,
        opened_at timestamptz NOT NULL,
        closed_at timestamptz,
        failing   integer     NOT NULL,
        total     integer     NOT NULL,
        max_count integer     NOT NULL,
        max_share real        NOT NULL
      )`);
    await queryRunner.query('CREATE UNIQUE INDEX breaker_incident_open ON breaker_incident ((true)) WHERE closed_at IS NULL');
    // For the report of what would have been stopped, and where.
    await queryRunner.query(`ALTER TABLE validity_change ADD COLUMN clusters jsonb NOT NULL DEFAULT '[]'`);
    await queryRunner.query('CREATE INDEX validity_change_of_project ON validity_change (project_id, changed_at)');
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('DROP INDEX validity_change_of_project');
    await queryRunner.query('ALTER TABLE validity_change DROP COLUMN clusters');
    await queryRunner.query('DROP TABLE breaker_incident');
    await queryRunner.query('DROP TABLE project_policy');
    await queryRunner.query('DROP INDEX key_configuration_failing');
    await queryRunner.query(`UPDATE key_configuration SET state = 'SUSPECT', hold = NULL WHERE state = 'HELD'`);
    await queryRunner.query(`
      ALTER TABLE key_configuration
        ADD COLUMN unreachable_announced boolean NOT NULL DEFAULT false,
        DROP CONSTRAINT key_configuration_hold_check,
        DROP CONSTRAINT key_configuration_state_check,
        ADD CONSTRAINT key_configuration_state_check CHECK (state IN ('VALID', 'SUSPECT', 'INVALID')),
        DROP COLUMN fail_closed, DROP COLUMN hold`);
    await queryRunner.query('UPDATE key_configuration SET unreachable_announced = unreachable_alerts > 0');
    await queryRunner.query('ALTER TABLE key_configuration DROP COLUMN unreachable_alerts');
  }
}
