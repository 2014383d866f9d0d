import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Incidents of the operators, what projects decided about their alerts, and more that is remembered of key configurations. */
export class IncidentsAndAlertSettings1795480800000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      ALTER TABLE key_configuration
        -- Known from the next event on of each configuration.
        ADD COLUMN provider               text,
        ADD COLUMN mode                   text,
        ADD COLUMN epoch                  integer,
        ADD COLUMN rotation_reminder_days integer`);
    await queryRunner.query(`
      ALTER TABLE alert
        ADD COLUMN acknowledged_until      timestamptz,
        ADD COLUMN acknowledgement_comment text,
        ADD COLUMN acknowledging_username  text`);
    await queryRunner.query(`
      CREATE TABLE alert_config (
        id         text        PRIMARY KEY,
        project_id text        NOT NULL,
        event_type text        NOT NULL,
        enabled    boolean     NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        UNIQUE (project_id, event_type)
      )`);
    // What alerts name already has to be there; the id is alertConfigIdOf.
    await queryRunner.query(`
      INSERT INTO alert_config (id, project_id, event_type, enabled, created_at, updated_at)
      SELECT substr(encode(sha256(convert_to(project_id || '/' || event_type, 'UTF8')), 'hex'), 1, 24), project_id, event_type, true,
        min(created_at), min(created_at)
      FROM alert GROUP BY project_id, event_type`);
    await queryRunner.query(`
      CREATE TABLE operator_incident (
        id        text        PRIMARY KEY,
        kind      text        NOT NULL CHECK (kind IN ('SHUTDOWNS_HELD', 'KMS_UNREACHABLE')),
        -- What makes two troubles one incident.
        cause     text        NOT NULL,
        opened_at timestamptz NOT NULL,
        closed_at timestamptz,
        -- When there is something to tell; null when there is not.
        page_at   timestamptz,
        paged_at  timestamptz,
        pages     integer     NOT NULL DEFAULT 0,
        -- What kms-validation's breaker said.
        breaker   jsonb
      )`);
    await queryRunner.query('CREATE UNIQUE INDEX operator_incident_open ON operator_incident (cause) WHERE closed_at IS NULL');
    await queryRunner.query('CREATE INDEX operator_incident_due ON operator_incident (page_at) WHERE page_at IS NOT NULL');
    await queryRunner.query(`
      CREATE TABLE operator_incident_entry (
        incident_id      text        NOT NULL REFERENCES operator_incident (id) ON DELETE CASCADE,
        configuration_id text        NOT NULL,
        project_id       text        NOT NULL,
        kind             text        NOT NULL,
        outcome          text        NOT NULL CHECK (outcome IN ('OPEN', 'RELEASED', 'CANCELLED', 'CARRIED_OUT', 'OVER', 'REMOVED')),
        decided_by       text,
        since            timestamptz NOT NULL,
        -- The key configuration as it was when it joined.
        state            jsonb       NOT NULL,
        -- Nobody has decided in time, and the operators were not told of it yet.
        overdue          boolean     NOT NULL DEFAULT false,
        told             boolean     NOT NULL DEFAULT false,
        PRIMARY KEY (incident_id, configuration_id)
      )`);
    await queryRunner.query('CREATE INDEX operator_incident_entry_by_configuration ON operator_incident_entry (configuration_id, kind)');
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    for (const table of ['operator_incident_entry', 'operator_incident', 'alert_config']) await queryRunner.query(`DROP TABLE ${table}`);
    await queryRunner.query(
      'ALTER TABLE alert DROP COLUMN acknowledged_until, DROP COLUMN acknowledgement_comment, DROP COLUMN acknowledging_username',
    );
    await queryRunner.query(
      'ALTER TABLE key_configuration DROP COLUMN provider, DROP COLUMN mode, DROP COLUMN epoch, DROP COLUMN rotation_reminder_days',
    );
  }
}
