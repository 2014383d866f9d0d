import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Messages with their recipients, alerts, and what is remembered of projects, clusters and key configurations. */
export class Notifications1795392200000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      CREATE TABLE project (
        id         text        PRIMARY KEY,
        org_id     text        NOT NULL,
        name       text        NOT NULL,
        members    jsonb       NOT NULL,
        deleted_at timestamptz,
        revision   integer     NOT NULL
      )`);
    await queryRunner.query(`
      CREATE TABLE cluster (
        id         text        PRIMARY KEY,
        project_id text        NOT NULL,
        name       text        NOT NULL,
        provider   text        NOT NULL,
        deleted_at timestamptz,
        revision   integer     NOT NULL
      )`);
    await queryRunner.query('CREATE INDEX cluster_by_project ON cluster (project_id, provider) WHERE deleted_at IS NULL');
    await queryRunner.query(`
      CREATE TABLE key_configuration (
        id         text    PRIMARY KEY,
        project_id text    NOT NULL,
        revision   integer NOT NULL
      )`);
    await queryRunner.query(`
      CREATE TABLE alert (
        id            text        PRIMARY KEY,
        project_id    text        NOT NULL,
        -- The key configuration whose condition it is.
        source_id     text        NOT NULL,
        event_type    text        NOT NULL,
        status        text        NOT NULL CHECK (status IN ('OPEN', 'CLOSED', 'CANCELLED')),
        created_at    timestamptz NOT NULL,
        updated_at    timestamptz NOT NULL,
        resolved_at   timestamptz,
        last_notified timestamptz
      )`);
    // One open alert per condition: a second event of the same condition changes nothing.
    await queryRunner.query(`CREATE UNIQUE INDEX alert_open ON alert (source_id, event_type) WHERE status = 'OPEN'`);
    await queryRunner.query('CREATE INDEX alert_by_project ON alert (project_id, created_at DESC, id DESC)');
    await queryRunner.query(`
      CREATE TABLE notification (
        id              text        PRIMARY KEY,
        -- The order in which messages were made.
        position        bigint      GENERATED ALWAYS AS IDENTITY,
        -- What it is about and which transition: the same event twice makes one message.
        cause           text        NOT NULL UNIQUE,
        kind            text        NOT NULL,
        project_id      text,
        alert_id        text,
        subject         text        NOT NULL,
        content         jsonb       NOT NULL,
        -- For the operators, not for the owners of the project: a failure of it makes no further message.
        for_operators   boolean     NOT NULL,
        status          text        NOT NULL CHECK (status IN ('PENDING', 'SENT', 'FAILED')),
        attempts        integer     NOT NULL DEFAULT 0,
        next_attempt_at timestamptz NOT NULL,
        -- Who sends it now, and until when others keep away.
        lease_token     text,
        lease_until     timestamptz,
        last_problem    text,
        created_at      timestamptz NOT NULL,
        sent_at         timestamptz
      )`);
    await queryRunner.query(`CREATE INDEX notification_due ON notification (next_attempt_at) WHERE status = 'PENDING'`);
    await queryRunner.query(`
      CREATE TABLE notification_recipient (
        notification_id text        NOT NULL REFERENCES notification (id) ON DELETE CASCADE,
        address         text        NOT NULL,
        status          text        NOT NULL CHECK (status IN ('PENDING', 'SENT', 'FAILED')),
        answer          text,
        updated_at      timestamptz NOT NULL,
        PRIMARY KEY (notification_id, address)
      )`);
    await queryRunner.query(`
      CREATE TABLE notification_pause (
        cause      text        PRIMARY KEY,
        told_at    timestamptz NOT NULL
      )`);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    for (const table of [
      'notification_pause',
      'notification_recipient',
      'notification',
      'alert',
      'key_configuration',
      'cluster',
      'project',
    ]) {
      await queryRunner.query(`DROP TABLE ${table}`);
    }
  }
}
