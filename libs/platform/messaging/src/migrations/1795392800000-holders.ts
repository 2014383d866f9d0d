import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * `holder`: the replica whose queue a claimed event is in. An event that arrives behind others may be claimed with them when all of them are
 * the same replica's. Old rows are found by their position, which grows with their age, so the indexes on times were only work.
 */
export class Holders1795392800000 implements MigrationInterface {
  name = 'Holders1795392800000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('ALTER TABLE inbox ADD COLUMN holder uuid');
    await queryRunner.query('DROP INDEX inbox_ended');
    await queryRunner.query('DROP INDEX outbox_published');
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('CREATE INDEX outbox_published ON outbox (published_at) WHERE published_at IS NOT NULL');
    await queryRunner.query(`CREATE INDEX inbox_ended ON inbox (ended_at) WHERE status IN ('finished', 'ignored')`);
    await queryRunner.query('ALTER TABLE inbox DROP COLUMN holder');
  }
}
