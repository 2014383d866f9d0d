import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Clusters change after their creation, hosts may be given up, reports are numbered, and a lost answer to an enrolment heals. */
export class ClusterChanges1795392500000 implements MigrationInterface {
  readonly name = 'ClusterChanges1795392500000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      ALTER TABLE process
        -- Grows with each change of extra_arguments; a process that was started by an earlier one has to be restarted.
        ADD COLUMN arguments_version integer NOT NULL DEFAULT 0,
        -- Not a member of its set (or its set no shard of the cluster) yet, or no longer wanted as one.
        ADD COLUMN joining boolean NOT NULL DEFAULT false,
        ADD COLUMN leaving boolean NOT NULL DEFAULT false,
        -- Ordered to step down since then.
        ADD COLUMN yields_since timestamptz`);
    await queryRunner.query(`
      ALTER TABLE host
        ADD COLUMN given_up_at timestamptz,
        -- Number of the last report that was taken in.
        ADD COLUMN report_run bigint,
        ADD COLUMN report_sequence bigint`);
    await queryRunner.query('ALTER TABLE enrolment_token ADD COLUMN retry_hash bytea');
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('ALTER TABLE enrolment_token DROP COLUMN retry_hash');
    await queryRunner.query('ALTER TABLE host DROP COLUMN given_up_at, DROP COLUMN report_run, DROP COLUMN report_sequence');
    await queryRunner.query(
      'ALTER TABLE process DROP COLUMN arguments_version, DROP COLUMN joining, DROP COLUMN leaving, DROP COLUMN yields_since',
    );
  }
}
