import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Snapshots of sharded clusters. */
export class SnapshotParts1795600100000 implements MigrationInterface {
  readonly name = 'SnapshotParts1795600100000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      ALTER TABLE snapshot
        -- Of a sharded cluster, one for each replica set: {snapshotId, replicaSet, role, member, taken}.
        ADD COLUMN parts jsonb`);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('ALTER TABLE snapshot DROP COLUMN parts');
  }
}
