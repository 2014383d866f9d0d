import type { MigrationInterface, QueryRunner } from 'typeorm';

/** One snapshot of a sharded cluster: a task for each of its replica sets, and one that stands for all of them. */
export class SnapshotParts1795481300000 implements MigrationInterface {
  readonly name = 'SnapshotParts1795481300000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      ALTER TABLE backup_task
        -- Of a part: the task that stands for all parts, and which part it is.
        ADD COLUMN group_id text,
        ADD COLUMN part_of  jsonb,
        -- Of a task that stands for parts: the moment that all are cut at.
        ADD COLUMN cut      jsonb`);
    await queryRunner.query('CREATE INDEX backup_task_group ON backup_task (group_id) WHERE group_id IS NOT NULL');
    await queryRunner.query('DROP INDEX backup_task_one_snapshot');
    await queryRunner.query(`
      CREATE UNIQUE INDEX backup_task_one_snapshot ON backup_task (cluster_id)
        WHERE kind = 'take-snapshot' AND group_id IS NULL AND status IN ('WAITING_FOR_KEY', 'OPEN', 'CANCELLING')`);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('DELETE FROM backup_task WHERE group_id IS NOT NULL');
    await queryRunner.query('DROP INDEX backup_task_one_snapshot');
    await queryRunner.query(`
      CREATE UNIQUE INDEX backup_task_one_snapshot ON backup_task (cluster_id)
        WHERE kind = 'take-snapshot' AND status IN ('WAITING_FOR_KEY', 'OPEN', 'CANCELLING')`);
    await queryRunner.query('ALTER TABLE backup_task DROP COLUMN cut, DROP COLUMN part_of, DROP COLUMN group_id');
  }
}
