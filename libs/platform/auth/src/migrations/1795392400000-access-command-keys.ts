import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The public keys with which service accounts sign commands. */
export class AccessCommandKeys1795392400000 implements MigrationInterface {
  readonly name = 'AccessCommandKeys1795392400000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query("ALTER TABLE access_service_account ADD COLUMN signing_keys jsonb NOT NULL DEFAULT '[]'");
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('ALTER TABLE access_service_account DROP COLUMN signing_keys');
  }
}
