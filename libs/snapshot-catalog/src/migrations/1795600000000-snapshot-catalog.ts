import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Snapshots with their epochs, schedules and jobs, and what is remembered of projects, clusters and key configurations. */
export class SnapshotCatalog1795600000000 implements MigrationInterface {
  readonly name = 'SnapshotCatalog1795600000000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await this.projections(queryRunner);
    await this.snapshots(queryRunner);
    await this.schedules(queryRunner);
  }

  private async projections(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      CREATE TABLE project (
        id          text        PRIMARY KEY,
        org_id      text        NOT NULL,
        deleted_at  timestamptz,
        revision    integer     NOT NULL
      )`);
    await queryRunner.query(`
      CREATE TABLE cluster (
        id              text        PRIMARY KEY,
        project_id      text        NOT NULL,
        name            text        NOT NULL,
        cluster_type    text        NOT NULL,
        state           text        NOT NULL,
        -- Why it is disabled, for people.
        disabled_reason text,
        provider        text        NOT NULL,
        backup_enabled  boolean     NOT NULL,
        paused          boolean     NOT NULL,
        -- Its snapshots outlive it.
        retain_backups  boolean     NOT NULL,
        mongodb_version text,
        replica_sets    text[]      NOT NULL,
        -- Processes that carry data of a replica set.
        data_members    integer     NOT NULL,
        created_at      timestamptz NOT NULL,
        deleted_at      timestamptz,
        revision        integer     NOT NULL
      )`);
    await queryRunner.query('CREATE INDEX cluster_by_name ON cluster (project_id, name)');
    // Which clusters use a key is asked of projects with ten thousand of them.
    await queryRunner.query('CREATE INDEX cluster_by_provider ON cluster (project_id, provider, name) WHERE deleted_at IS NULL');
    await queryRunner.query(`
      CREATE TABLE key_configuration (
        id                text        PRIMARY KEY,
        project_id        text        NOT NULL,
        provider          text        NOT NULL,
        enabled           boolean     NOT NULL,
        state             text        NOT NULL,
        mode              text        NOT NULL,
        key_id            text        NOT NULL,
        resolved_key_id   text,
        -- Grows with each other customer key.
        epoch             integer     NOT NULL,
        -- Of the last definitive verdict while it is INVALID, or HELD.
        reason            text,
        invalid_since     timestamptz,
        unreachable_since timestamptz,
        last_proven_at    timestamptz,
        revision          integer     NOT NULL
      )`);
    await queryRunner.query('CREATE INDEX key_configuration_of_project ON key_configuration (project_id, provider)');
  }

  private async snapshots(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      CREATE TABLE epoch (
        id                   text        PRIMARY KEY,
        cluster_id           text        NOT NULL,
        project_id           text        NOT NULL,
        provider             text        NOT NULL,
        -- The customer key; null: encryption at rest is not enabled.
        encryption_key_id    text,
        key_configuration_id text,
        key_epoch            integer,
        created_at           timestamptz NOT NULL,
        -- From here on, kept with every change of a snapshot in its transaction, so that nobody counts ten million rows.
        unfinished           integer     NOT NULL DEFAULT 0,
        completed            integer     NOT NULL DEFAULT 0,
        oldest_created_at    timestamptz,
        newest_created_at    timestamptz,
        last_expires_at      timestamptz,
        -- Deletions: when the next job may be ordered, and how many failed in a row.
        clearing_after       timestamptz NOT NULL DEFAULT '-infinity',
        clearing_failures    integer     NOT NULL DEFAULT 0,
        -- The last deletion freed nothing, because a writer or another collector was at work.
        collection_due       boolean     NOT NULL DEFAULT false
      )`);
    // One epoch for a key of a cluster; a key that comes back after another one begins a new epoch.
    await queryRunner.query(`
      CREATE UNIQUE INDEX epoch_of_cluster ON epoch (cluster_id, provider, encryption_key_id, key_configuration_id, key_epoch) NULLS NOT DISTINCT`);
    await queryRunner.query('CREATE INDEX epoch_by_key ON epoch (project_id, encryption_key_id, provider)');
    await queryRunner.query('CREATE INDEX epoch_collection_due ON epoch (clearing_after) WHERE collection_due');

    // By month (DESIGN §11). An id begins with its second, so ranges of ids are ranges of time: a look at one snapshot opens one partition, and a page of the
    // newest opens the newest ones only. There is no default partition, which would take that order away; `SnapshotPartitions` makes those that are missing.
    await queryRunner.query(`
      CREATE TABLE snapshot (
        id                text        COLLATE "C" NOT NULL PRIMARY KEY,
        project_id        text        NOT NULL,
        cluster_id        text        NOT NULL,
        cluster_name      text        NOT NULL,
        epoch_id          text        NOT NULL,
        provider          text        NOT NULL,
        encryption_key_id text,
        status            text        NOT NULL CHECK (status IN ('queued', 'inProgress', 'completed', 'failed')),
        snapshot_type     text        NOT NULL,
        frequency_type    text,
        policy_items      text[]      NOT NULL,
        description       text,
        replica_set       text,
        retention_unit    text        NOT NULL,
        retention_value   integer     NOT NULL,
        -- The moments that it serves, of a scheduled one.
        due_at            timestamptz,
        requested_at      timestamptz NOT NULL,
        started_at        timestamptz,
        -- The moment of the data.
        created_at        timestamptz,
        optime_seconds    bigint,
        optime_increment  bigint,
        expires_at        timestamptz,
        deleted_at        timestamptz,
        source            jsonb       NOT NULL,
        methods           text[]      NOT NULL,
        -- Of another attempt: the member that it should not copy, and that it does not rely on what is stored.
        avoid_member      text,
        anew              boolean     NOT NULL DEFAULT false,
        -- The job that takes it.
        job_id            text,
        taken             jsonb,
        progress          jsonb,
        failure           jsonb,
        attempt           integer     NOT NULL,
        -- Set while another attempt follows.
        retry_at          timestamptz,
        last_proof        jsonb,
        last_proven_at    timestamptz,
        proof_failure     jsonb,
        -- Something may lie in the store that should not.
        clear_store       boolean     NOT NULL DEFAULT false,
        revision          integer     NOT NULL
      ) PARTITION BY RANGE (id)`);
    await queryRunner.query('CREATE INDEX snapshot_listed ON snapshot (cluster_id, id) WHERE deleted_at IS NULL');
    await queryRunner.query(`
      CREATE INDEX snapshot_before_moment ON snapshot (cluster_id, created_at) WHERE status = 'completed' AND deleted_at IS NULL`);
    await queryRunner.query(`
      CREATE INDEX snapshot_before_optime ON snapshot (cluster_id, optime_seconds, optime_increment)
      WHERE status = 'completed' AND deleted_at IS NULL`);
    await queryRunner.query(`
      CREATE INDEX snapshot_of_epoch ON snapshot (epoch_id, created_at) WHERE status = 'completed' AND deleted_at IS NULL`);
    await queryRunner.query(`
      CREATE INDEX snapshot_of_epoch_by_expiry ON snapshot (epoch_id, expires_at) WHERE status = 'completed' AND deleted_at IS NULL`);
    await queryRunner.query(`
      CREATE INDEX snapshot_oldest_proof ON snapshot (cluster_id, last_proven_at NULLS FIRST) WHERE status = 'completed' AND deleted_at IS NULL`);
    await queryRunner.query(`
      CREATE INDEX snapshot_expiry ON snapshot (expires_at) WHERE status IN ('completed', 'failed') AND deleted_at IS NULL`);
    await queryRunner.query(`CREATE INDEX snapshot_unfinished ON snapshot (cluster_id, id) WHERE status IN ('queued', 'inProgress')`);
    await queryRunner.query('CREATE INDEX snapshot_retry ON snapshot (retry_at) WHERE retry_at IS NOT NULL');
    await queryRunner.query('CREATE INDEX snapshot_clearing ON snapshot (epoch_id) WHERE clear_store');
    await queryRunner.query('CREATE INDEX snapshot_deleted ON snapshot (deleted_at) WHERE deleted_at IS NOT NULL');

    await queryRunner.query(`
      CREATE TABLE backup_job (
        id            text        PRIMARY KEY,
        kind          text        NOT NULL CHECK (kind IN ('take-snapshot', 'prove-snapshot', 'delete-snapshots')),
        project_id    text        NOT NULL,
        cluster_id    text        NOT NULL,
        epoch_id      text        NOT NULL,
        snapshot_ids  text[]      NOT NULL,
        status        text        NOT NULL CHECK (status IN ('OPEN', 'CANCELLING', 'DONE', 'FAILED')),
        ordered_at    timestamptz NOT NULL,
        finished_at   timestamptz,
        host_id       text,
        member        text,
        failure       jsonb,
        -- As it was published, so that it can be cancelled in the same words.
        job           jsonb       NOT NULL,
        -- Of the task's last event.
        task_revision integer     NOT NULL DEFAULT 0
      )`);
    // Never two at once, whatever replicas believe.
    await queryRunner.query(`
      CREATE UNIQUE INDEX backup_job_one_snapshot ON backup_job (cluster_id)
      WHERE kind = 'take-snapshot' AND status IN ('OPEN', 'CANCELLING')`);
    await queryRunner.query(`
      CREATE UNIQUE INDEX backup_job_one_proof ON backup_job (cluster_id)
      WHERE kind = 'prove-snapshot' AND status IN ('OPEN', 'CANCELLING')`);
    await queryRunner.query(`
      CREATE UNIQUE INDEX backup_job_one_deletion ON backup_job (epoch_id)
      WHERE kind = 'delete-snapshots' AND status IN ('OPEN', 'CANCELLING')`);
    await queryRunner.query('CREATE INDEX backup_job_age ON backup_job (finished_at) WHERE finished_at IS NOT NULL');
  }

  private async schedules(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      CREATE TABLE cluster_backup (
        cluster_id         text        PRIMARY KEY,
        project_id         text        NOT NULL,
        cluster_name       text        NOT NULL,
        -- Kept with every change of a snapshot in its transaction: totals of lists.
        listed             integer     NOT NULL DEFAULT 0,
        completed          integer     NOT NULL DEFAULT 0,
        last_completed_at  timestamptz,
        -- The last completed one: an incremental copy is made from the same member, on top of it.
        last_snapshot_id   text,
        last_member        text,
        -- Health: why the schedule pauses, the oldest run that is not done, and what was told of it.
        paused_code        text,
        paused_reason      text,
        paused_since       timestamptz,
        due_since          timestamptz,
        behind_since       timestamptz,
        next_proof_at      timestamptz,
        -- When any snapshot was proven last, the proof at the end of taking it included.
        last_proven_at     timestamptz,
        proof_overdue_since timestamptz,
        health_revision    integer     NOT NULL DEFAULT 0,
        -- Backup was turned off, or the cluster deleted: what was asked for until then goes.
        discard_until      timestamptz
      )`);
    await queryRunner.query('CREATE INDEX cluster_backup_proof_due ON cluster_backup (next_proof_at) WHERE completed > 0');
    await queryRunner.query('CREATE INDEX cluster_backup_due_since ON cluster_backup (due_since) WHERE due_since IS NOT NULL');
    await queryRunner.query('CREATE INDEX cluster_backup_discard ON cluster_backup (discard_until) WHERE discard_until IS NOT NULL');
    await queryRunner.query(`
      CREATE TABLE backup_schedule (
        cluster_id          text        PRIMARY KEY,
        project_id          text        NOT NULL,
        policy_id           text        NOT NULL,
        -- {id, frequencyType, frequencyInterval, retentionUnit, retentionValue}
        items               jsonb       NOT NULL,
        reference_hour      integer     NOT NULL,
        reference_minute    integer     NOT NULL,
        restore_window_days integer     NOT NULL,
        -- {frequencyType, retentionDays}
        extra_retention     jsonb       NOT NULL,
        -- Which member is copied.
        source              jsonb       NOT NULL,
        -- Null when there is no item.
        next_snapshot_at    timestamptz,
        -- What the clock said when that was decided: it may be set back.
        decided_at          timestamptz NOT NULL,
        paused              boolean     NOT NULL,
        revision            integer     NOT NULL
      )`);
    await queryRunner.query('CREATE INDEX backup_schedule_due ON backup_schedule (next_snapshot_at) WHERE NOT paused');
    await queryRunner.query('CREATE INDEX backup_schedule_decided ON backup_schedule (decided_at)');
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('DROP TABLE backup_schedule, cluster_backup, backup_job, snapshot, epoch, key_configuration, cluster, project');
  }
}
