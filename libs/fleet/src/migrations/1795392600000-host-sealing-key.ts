import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Hosts tell what secrets on their way to them are sealed for. */
export class HostSealingKey1795392600000 implements MigrationInterface {
  readonly name = 'HostSealingKey1795392600000';

  async up(queryRunner: QueryRunner): Promise<void> {
    // A public key (JWK); null while the host's agent is of a release that has none.
    await queryRunner.query('ALTER TABLE host ADD COLUMN sealing_key jsonb');
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('ALTER TABLE host DROP COLUMN sealing_key');
  }
}
