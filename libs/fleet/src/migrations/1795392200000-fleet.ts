import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Projects, clusters, hosts and what agents are told and report. */
export class Fleet1795392200000 implements MigrationInterface {
  readonly name = 'Fleet1795392200000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      CREATE TABLE project (
        id                        text PRIMARY KEY,
        org_id                    text NOT NULL,
        name                      text NOT NULL,
        tags                      jsonb NOT NULL,
        region_usage_restrictions text NOT NULL,
        created_at                timestamptz NOT NULL,
        deleted_at                timestamptz,
        revision                  integer NOT NULL
      )`);
    await queryRunner.query('CREATE UNIQUE INDEX project_name ON project (org_id, name) WHERE deleted_at IS NULL');
    await queryRunner.query(`
      CREATE TABLE member (
        id         text PRIMARY KEY,
        project_id text NOT NULL REFERENCES project,
        email      text NOT NULL,
        roles      text[] NOT NULL,
        created_at timestamptz NOT NULL
      )`);
    // One person is one member, however the address is written.
    await queryRunner.query('CREATE UNIQUE INDEX member_email ON member (project_id, lower(email))');
    await queryRunner.query(`
      CREATE TABLE key_configuration (
        id         text PRIMARY KEY,
        project_id text NOT NULL,
        provider   text NOT NULL,
        enabled    boolean NOT NULL,
        state      text NOT NULL,
        mode       text NOT NULL,
        -- The whole published state; it never holds credentials.
        data       jsonb NOT NULL,
        revision   integer NOT NULL
      )`);
    await queryRunner.query('CREATE INDEX key_configuration_project ON key_configuration (project_id, provider)');
    await queryRunner.query(`
      CREATE TABLE host (
        id                text PRIMARY KEY,
        org_id            text NOT NULL,
        hostname          text NOT NULL,
        data_folder       text NOT NULL,
        port_first        integer NOT NULL,
        port_last         integer NOT NULL,
        capacity          integer NOT NULL,
        allows_colocation boolean NOT NULL,
        agent_version     text NOT NULL,
        credential_hash   bytea NOT NULL CHECK (octet_length(credential_hash) = 32),
        enrolled_at       timestamptz NOT NULL,
        last_heard_at     timestamptz,
        -- Only grows. Moves whenever the goal of a process on the host does.
        goal_version      integer NOT NULL,
        goal_issued_at    timestamptz NOT NULL,
        -- What the agent said it converges to.
        reported_version  integer,
        deleted_at        timestamptz
      )`);
    await queryRunner.query('CREATE INDEX host_org ON host (org_id) WHERE deleted_at IS NULL');
    await queryRunner.query('CREATE UNIQUE INDEX host_credential ON host (credential_hash)');
    await queryRunner.query(`
      CREATE TABLE enrolment_token (
        hash       bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
        org_id     text NOT NULL,
        expires_at timestamptz NOT NULL,
        used_at    timestamptz,
        host_id    text
      )`);
    await queryRunner.query(`
      CREATE TABLE cluster (
        id              text PRIMARY KEY,
        project_id      text NOT NULL REFERENCES project,
        name            text NOT NULL,
        state           text NOT NULL,
        state_since     timestamptz NOT NULL,
        disabled_reason jsonb,
        settings        jsonb NOT NULL,
        encryption_at_rest_provider text NOT NULL GENERATED ALWAYS AS (settings ->> 'encryptionAtRestProvider') STORED,
        pending_changes jsonb,
        process_args    jsonb NOT NULL,
        -- When the reconciler has to look at it again; null while only observations and orders can change anything.
        reconcile_at    timestamptz,
        created_at      timestamptz NOT NULL,
        deleted_at      timestamptz,
        revision        integer NOT NULL
      )`);
    await queryRunner.query('CREATE UNIQUE INDEX cluster_name ON cluster (project_id, name) WHERE deleted_at IS NULL');
    await queryRunner.query('CREATE INDEX cluster_provider ON cluster (project_id, encryption_at_rest_provider) WHERE deleted_at IS NULL');
    await queryRunner.query('CREATE INDEX cluster_reconcile ON cluster (reconcile_at) WHERE reconcile_at IS NOT NULL');
    await queryRunner.query(`
      CREATE TABLE cluster_history (
        id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        cluster_id text NOT NULL REFERENCES cluster,
        at         timestamptz NOT NULL,
        from_state text,
        to_state   text NOT NULL,
        -- The fact that led to it, with the reason it carried.
        fact       jsonb NOT NULL
      )`);
    await queryRunner.query('CREATE INDEX cluster_history_cluster ON cluster_history (cluster_id, id)');
    await queryRunner.query(`
      CREATE TABLE process (
        id              text PRIMARY KEY,
        cluster_id      text NOT NULL REFERENCES cluster,
        host_id         text NOT NULL REFERENCES host,
        kind            text NOT NULL,
        replica_set     text,
        member_id       integer NOT NULL,
        priority        double precision NOT NULL,
        votes           integer NOT NULL,
        arbiter_only    boolean NOT NULL,
        port            integer NOT NULL,
        db_path         text,
        extra_arguments jsonb NOT NULL,
        adopted         boolean NOT NULL,
        desired         text NOT NULL,
        desired_since   timestamptz NOT NULL,
        -- The agent's goal for it, and the host's goal version that carried it first.
        goal            jsonb NOT NULL,
        goal_version    integer NOT NULL,
        created_at      timestamptz NOT NULL,
        removed_at      timestamptz
      )`);
    await queryRunner.query('CREATE INDEX process_cluster ON process (cluster_id) WHERE removed_at IS NULL');
    // The referee of two placements at the same time.
    await queryRunner.query('CREATE UNIQUE INDEX process_port ON process (host_id, port) WHERE removed_at IS NULL');
    await queryRunner.query('CREATE UNIQUE INDEX process_path ON process (host_id, db_path) WHERE removed_at IS NULL');
    await queryRunner.query(`
      CREATE TABLE observation (
        process_id  text PRIMARY KEY REFERENCES process,
        host_id     text NOT NULL,
        data        jsonb NOT NULL,
        observed_at timestamptz NOT NULL
      )`);
    await queryRunner.query('CREATE INDEX observation_host ON observation (host_id)');
    await queryRunner.query(`
      CREATE TABLE concern (
        process_id text NOT NULL REFERENCES process,
        kind       text NOT NULL,
        since      timestamptz NOT NULL,
        last_seen  timestamptz NOT NULL,
        PRIMARY KEY (process_id, kind)
      )`);
    await queryRunner.query(`
      CREATE TABLE usage_period (
        process_id text PRIMARY KEY REFERENCES process,
        cluster_id text NOT NULL REFERENCES cluster,
        started_at timestamptz NOT NULL,
        ended_at   timestamptz
      )`);
    await queryRunner.query('CREATE INDEX usage_period_cluster ON usage_period (cluster_id)');
    await queryRunner.query(`
      CREATE TABLE agent_task (
        id           text PRIMARY KEY,
        host_id      text NOT NULL REFERENCES host,
        task         jsonb NOT NULL,
        status       text NOT NULL,
        created_at   timestamptz NOT NULL,
        -- After that nobody waits for the result and the task is not given out any more.
        expires_at   timestamptz NOT NULL,
        delivered_at timestamptz,
        finished_at  timestamptz,
        result       jsonb
      )`);
    await queryRunner.query(`CREATE INDEX agent_task_open ON agent_task (host_id) WHERE status = 'OPEN'`);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(
      `DROP TABLE agent_task, usage_period, concern, observation, process, cluster_history, cluster, enrolment_token, host,
                  key_configuration, member, project`,
    );
  }
}
