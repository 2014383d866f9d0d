import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Roles of projects at their cloud providers. */
export class AccessRoles1795480700000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      CREATE TABLE access_role (
        id            text        PRIMARY KEY,
        project_id    text        NOT NULL,
        provider      text        NOT NULL CHECK (provider IN ('AWS', 'AZURE', 'GCP')),
        -- What identifies it at its provider; nothing in it is secret.
        identity      jsonb       NOT NULL,
        authorized_at timestamptz,
        created_at    timestamptz NOT NULL,
        updated_at    timestamptz NOT NULL
      )`);
    await queryRunner.query('CREATE INDEX access_role_of_project ON access_role (project_id)');
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('DROP TABLE access_role');
  }
}
