import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What is known of the backups of clusters, and events and alerts that concern one cluster. */
export class Backups1795481000000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('ALTER TABLE alert ADD COLUMN cluster_name text');
    await queryRunner.query('ALTER TABLE project_event ADD COLUMN cluster_name text');
    // One event may have two names in Atlas: what happened, and the entry for the audit.
    await queryRunner.query('ALTER TABLE project_event DROP CONSTRAINT project_event_source_id_revision_key');
    await queryRunner.query('ALTER TABLE project_event ADD UNIQUE (source_id, revision, event_type)');
    await queryRunner.query(`
      CREATE TABLE cluster_backup (
        cluster_id       text        PRIMARY KEY,
        project_id       text        NOT NULL,
        cluster_name     text        NOT NULL,
        -- The moments are those of the events, so that they can be compared whatever the order in which events come.
        last_success_at  timestamptz,
        last_failure_at  timestamptz,
        last_proof_at    timestamptz,
        proof_overdue_at timestamptz,
        -- Since when scheduled snapshots are overdue; null when they are not, or while the schedule pauses.
        behind_since     timestamptz,
        health_revision  integer     NOT NULL DEFAULT 0,
        -- Somebody was told of a trouble: that all is in order again is to be told as well.
        told             boolean     NOT NULL DEFAULT false
      )`);
    await queryRunner.query('CREATE INDEX cluster_backup_behind ON cluster_backup (behind_since) WHERE behind_since IS NOT NULL');
    await queryRunner.query(`
      CREATE TABLE unproven_snapshot (
        snapshot_id text        PRIMARY KEY,
        cluster_id  text        NOT NULL
      )`);
    await queryRunner.query('CREATE INDEX unproven_snapshot_by_cluster ON unproven_snapshot (cluster_id)');
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    for (const table of ['unproven_snapshot', 'cluster_backup']) await queryRunner.query(`DROP TABLE ${table}`);
    await queryRunner.query('DELETE FROM project_event WHERE cluster_name IS NOT NULL');
    await queryRunner.query('ALTER TABLE project_event DROP CONSTRAINT project_event_source_id_revision_event_type_key');
    await queryRunner.query('ALTER TABLE project_event ADD UNIQUE (source_id, revision)');
    await queryRunner.query('ALTER TABLE project_event DROP COLUMN cluster_name');
    await queryRunner.query('ALTER TABLE alert DROP COLUMN cluster_name');
  }
}
