import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Clusters that use a provider for which their project has no key configuration, and of which somebody was told. */
export class MissingKeys1795480900000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('CREATE TABLE missing_key (cluster_id text PRIMARY KEY, provider text NOT NULL, told_at timestamptz NOT NULL)');
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('DROP TABLE missing_key');
  }
}
