import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Restore commands with what became of them, and what is remembered of projects and clusters. */
export class RestoreCommands1795392300000 implements MigrationInterface {
  readonly name = 'RestoreCommands1795392300000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      CREATE TABLE restore_command (
        -- CloudEvents id of the message: each message is decided once.
        message_id      uuid        PRIMARY KEY,
        -- From here to issued_at: null when no signature vouches for it.
        account         text,
        command_id      uuid,
        idempotency_key text,
        digest          text,
        -- As the sender wrote it, who may write a year that timestamptz cannot hold.
        issued_at       text,
        outcome         text        NOT NULL CHECK (outcome IN ('accepted', 'rejected')),
        reason          text        CHECK ((reason IS NULL) = (outcome = 'accepted')),
        detail          text,
        decided_at      timestamptz NOT NULL
      )`);
    // The command that a key stands for. Others that came under the same key were rejected and stand for nothing.
    await queryRunner.query(`
      CREATE UNIQUE INDEX restore_command_idempotency ON restore_command (account, idempotency_key)
      WHERE digest IS NOT NULL AND reason IS DISTINCT FROM 'IDEMPOTENCY_KEY_REUSED'`);
    await queryRunner.query('CREATE INDEX restore_command_age ON restore_command (decided_at)');
    await queryRunner.query(`
      CREATE TABLE project (
        id          text        PRIMARY KEY,
        org_id      text        NOT NULL,
        deleted_at  timestamptz,
        revision    integer     NOT NULL
      )`);
    await queryRunner.query(`
      CREATE TABLE cluster (
        id          text        PRIMARY KEY,
        project_id  text        NOT NULL,
        name        text        NOT NULL,
        deleted_at  timestamptz,
        revision    integer     NOT NULL
      )`);
    await queryRunner.query('CREATE INDEX cluster_by_name ON cluster (project_id, name)');
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('DROP TABLE cluster, project, restore_command');
  }
}
