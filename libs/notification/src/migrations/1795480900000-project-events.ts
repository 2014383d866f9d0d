import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What happened to the keys of a project, as the API lists it. */
export class ProjectEvents1795480900000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      CREATE TABLE project_event (
        id         text        PRIMARY KEY,
        project_id text        NOT NULL,
        event_type text        NOT NULL,
        created_at timestamptz NOT NULL,
        -- The key configuration and which of its events: a rebuild of the projections adds none again.
        source_id  text        NOT NULL,
        revision   integer     NOT NULL,
        UNIQUE (source_id, revision)
      )`);
    await queryRunner.query('CREATE INDEX project_event_by_project ON project_event (project_id, created_at DESC, id DESC)');
    await queryRunner.query('CREATE INDEX project_event_by_age ON project_event (created_at)');
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('DROP TABLE project_event');
  }
}
