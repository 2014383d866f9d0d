import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The public keys with which service accounts sign commands. */
export class SigningKeysForCommands1795392400001 implements MigrationInterface {
  readonly name = 'SigningKeysForCommands1795392400001';

  async up(queryRunner: QueryRunner): Promise<void> {
    // [{id, publicJwk, createdAt}]: read and written as a whole with the account, under its revision.
    await queryRunner.query("ALTER TABLE service_account ADD COLUMN signing_keys jsonb NOT NULL DEFAULT '[]'");
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('ALTER TABLE service_account DROP COLUMN signing_keys');
  }
}
