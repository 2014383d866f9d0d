import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * An event's id counts within its topic. Some topics are written by strangers: one who copies the id of an event from elsewhere must not
 * keep that event from being handled.
 */
export class EventIdsPerTopic1795392500000 implements MigrationInterface {
  name = 'EventIdsPerTopic1795392500000';

  async up(queryRunner: QueryRunner): Promise<void> {
    for (const table of ['inbox', 'dead_letter']) {
      await queryRunner.query(`ALTER TABLE ${table} DROP CONSTRAINT ${table}_event_id_key`);
      await queryRunner.query(`ALTER TABLE ${table} ADD CONSTRAINT ${table}_event_id_key UNIQUE (event_id, topic)`);
    }
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    for (const table of ['inbox', 'dead_letter']) {
      await queryRunner.query(`ALTER TABLE ${table} DROP CONSTRAINT ${table}_event_id_key`);
      await queryRunner.query(`ALTER TABLE ${table} ADD CONSTRAINT ${table}_event_id_key UNIQUE (event_id)`);
    }
  }
}
