import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Order counts per topic and subject, as it does on the way here: an event that fails holds up those behind it in its lane, and not what
 * another topic says about the same subject.
 */
export class Lanes1795392600000 implements MigrationInterface {
  name = 'Lanes1795392600000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(
      `ALTER TABLE inbox ADD COLUMN lane text COLLATE "C" NOT NULL GENERATED ALWAYS AS (topic || '/' || subject) STORED`,
    );
    await queryRunner.query('DROP INDEX inbox_waiting');
    await queryRunner.query(`CREATE INDEX inbox_waiting ON inbox (lane, position) WHERE status = 'pending'`);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('DROP INDEX inbox_waiting');
    await queryRunner.query('ALTER TABLE inbox DROP COLUMN lane');
    await queryRunner.query(`CREATE INDEX inbox_waiting ON inbox (subject, position) WHERE status = 'pending'`);
  }
}
