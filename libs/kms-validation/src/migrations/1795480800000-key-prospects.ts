import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What is known of the keys' future and age. */
export class KeyProspects1795480800000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('ALTER TABLE key_configuration ADD COLUMN prospects jsonb');
    await queryRunner.query(`
      UPDATE key_configuration SET prospects = jsonb_build_object('rotatedAt', created_at, 'automaticRotation', false, 'reminded', false, 'ending', NULL)`);
    await queryRunner.query('ALTER TABLE key_configuration ALTER COLUMN prospects SET NOT NULL');
    await queryRunner.query('ALTER TABLE checked_key ADD COLUMN last_described_at timestamptz');
    await queryRunner.query('UPDATE checked_key SET last_described_at = planned_at');
    await queryRunner.query('ALTER TABLE checked_key ALTER COLUMN last_described_at SET NOT NULL');
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('ALTER TABLE checked_key DROP COLUMN last_described_at');
    await queryRunner.query('ALTER TABLE key_configuration DROP COLUMN prospects');
  }
}
