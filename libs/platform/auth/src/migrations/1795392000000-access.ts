import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What a service must know to check access by itself: service accounts, public signing keys, revoked tokens. */
export class Access1795392000000 implements MigrationInterface {
  readonly name = 'Access1795392000000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      CREATE TABLE access_service_account (
        client_id  text PRIMARY KEY,
        org_id     text NOT NULL,
        name       text NOT NULL,
        grants     jsonb NOT NULL,
        -- A deleted account keeps its row: an older event that arrives late must not bring it back.
        deleted_at timestamptz,
        revision   integer NOT NULL
      )`);
    await queryRunner.query(`
      CREATE TABLE access_signing_key (
        kid            text PRIMARY KEY,
        public_jwk     jsonb NOT NULL,
        signs_until    timestamptz NOT NULL,
        accepted_until timestamptz NOT NULL
      )`);
    await queryRunner.query(`
      CREATE TABLE access_revoked_token (
        token_id   text PRIMARY KEY,
        expires_at timestamptz NOT NULL
      )`);
    await queryRunner.query('CREATE INDEX access_revoked_token_expires_at ON access_revoked_token (expires_at)');
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('DROP TABLE access_service_account, access_signing_key, access_revoked_token');
  }
}
