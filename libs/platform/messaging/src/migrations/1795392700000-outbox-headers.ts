import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Parked events leave through the outbox as well and say in headers why they were parked. */
export class OutboxHeaders1795392700000 implements MigrationInterface {
  name = 'OutboxHeaders1795392700000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('ALTER TABLE outbox ADD COLUMN headers json');
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('ALTER TABLE outbox DROP COLUMN headers');
  }
}
