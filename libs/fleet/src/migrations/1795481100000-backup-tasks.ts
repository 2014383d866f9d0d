import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Work on snapshots for agents, and what hosts need to have for it. */
export class BackupTasks1795481100000 implements MigrationInterface {
  readonly name = 'BackupTasks1795481100000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      ALTER TABLE host
        -- For people. Null: its agent has no snapshot store.
        ADD COLUMN snapshot_store text`);
    await queryRunner.query(`
      CREATE TABLE backup_task (
        -- Also the id of the job.
        id           text PRIMARY KEY,
        kind         text NOT NULL,
        project_id   text NOT NULL,
        cluster_id   text NOT NULL,
        status       text NOT NULL,
        -- When the status was entered.
        since        timestamptz NOT NULL,
        -- Null when none could be chosen.
        host_id      text REFERENCES host,
        -- What is copied; null for other work.
        process_id   text,
        member       text,
        job          jsonb NOT NULL,
        -- What access to the key was asked for: the host's public key at that time.
        sealing_key  jsonb,
        -- Sealed for the host; gone as soon as the task ends.
        key_access   text,
        -- Why it should end, while CANCELLING.
        reason       jsonb,
        progress     jsonb,
        -- When progress was last published.
        published_at timestamptz,
        -- When the agent was last given the task, or told that it should end.
        told_at      timestamptz,
        -- When the agent last said that it works on it; of a task that ended: since it did.
        named_at     timestamptz,
        result       jsonb,
        failure      jsonb,
        created_at   timestamptz NOT NULL,
        finished_at  timestamptz,
        revision     integer NOT NULL
      )`);
    // The referee of two snapshots of one cluster at the same time.
    await queryRunner.query(`
      CREATE UNIQUE INDEX backup_task_one_snapshot ON backup_task (cluster_id)
        WHERE kind = 'take-snapshot' AND status IN ('WAITING_FOR_KEY', 'OPEN', 'CANCELLING')`);
    await queryRunner.query(`CREATE INDEX backup_task_host ON backup_task (host_id, status)`);
    await queryRunner.query(`CREATE INDEX backup_task_cluster ON backup_task (cluster_id, created_at)`);
    await queryRunner.query(`CREATE INDEX backup_task_process ON backup_task (process_id) WHERE process_id IS NOT NULL`);
    await queryRunner.query(`CREATE INDEX backup_task_under_way ON backup_task (since) WHERE finished_at IS NULL`);
    await queryRunner.query(`CREATE INDEX backup_task_finished ON backup_task (finished_at) WHERE finished_at IS NOT NULL`);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('DROP TABLE backup_task');
    await queryRunner.query('ALTER TABLE host DROP COLUMN snapshot_store');
  }
}
