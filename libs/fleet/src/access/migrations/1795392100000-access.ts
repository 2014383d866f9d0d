import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Organisations, their service accounts with secrets, and the private halves of the keys that sign access tokens. */
export class FleetAccess1795392100000 implements MigrationInterface {
  readonly name = 'FleetAccess1795392100000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      CREATE TABLE organisation (
        id         text PRIMARY KEY,
        name       text NOT NULL,
        created_at timestamptz NOT NULL
      )`);
    await queryRunner.query(`
      CREATE TABLE service_account (
        client_id     text PRIMARY KEY,
        org_id        text NOT NULL REFERENCES organisation,
        name          text NOT NULL,
        description   text NOT NULL,
        org_roles     text[] NOT NULL,
        -- [{projectId, roles: []}]: read and written as a whole with the account, under its revision.
        project_roles jsonb NOT NULL,
        created_at    timestamptz NOT NULL,
        deleted_at    timestamptz,
        revision      integer NOT NULL
      )`);
    await queryRunner.query('CREATE INDEX service_account_org ON service_account (org_id, created_at) WHERE deleted_at IS NULL');
    await queryRunner.query(
      'CREATE INDEX service_account_projects ON service_account USING gin (project_roles jsonb_path_ops) WHERE deleted_at IS NULL',
    );
    await queryRunner.query(`
      CREATE TABLE service_account_secret (
        id           text PRIMARY KEY,
        client_id    text NOT NULL REFERENCES service_account,
        hash         bytea NOT NULL CHECK (octet_length(hash) = 32),
        masked       text NOT NULL,
        created_at   timestamptz NOT NULL,
        expires_at   timestamptz NOT NULL,
        last_used_at timestamptz
      )`);
    await queryRunner.query('CREATE INDEX service_account_secret_account ON service_account_secret (client_id)');
    await queryRunner.query(`
      CREATE TABLE signing_key (
        kid            text PRIMARY KEY,
        -- The private JWK, sealed: whoever reads the database cannot sign.
        sealed_private text NOT NULL,
        signs_until    timestamptz NOT NULL,
        created_at     timestamptz NOT NULL
      )`);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('DROP TABLE signing_key, service_account_secret, service_account, organisation');
  }
}
