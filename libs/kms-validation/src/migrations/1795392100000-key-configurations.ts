import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Key configurations, the history of their checks, and what is remembered of projects and clusters. */
export class KeyConfigurations1795392100000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      CREATE TABLE key_configuration (
        id                    text        PRIMARY KEY,
        project_id            text        NOT NULL,
        provider              text        NOT NULL CHECK (provider IN ('AWS', 'AZURE', 'GCP', 'KMIP')),
        mode                  text        NOT NULL CHECK (mode IN ('enforce', 'observe')),
        -- As the project wrote them; without any secret.
        settings              jsonb       NOT NULL,
        sealed_credentials    text        NOT NULL,
        sealing_key_id        text        NOT NULL,
        canary                jsonb       NOT NULL,
        state                 text        NOT NULL CHECK (state IN ('VALID', 'SUSPECT', 'INVALID')),
        state_since           timestamptz NOT NULL,
        evidence              jsonb       NOT NULL,
        last_evidence         jsonb,
        unreachable_since     timestamptz,
        unreachable_announced boolean     NOT NULL,
        last_proven_at        timestamptz,
        announced_findings    jsonb       NOT NULL,
        last_wrap_proof_at    timestamptz NOT NULL,
        next_check_at         timestamptz NOT NULL,
        -- Who checks it now, and until when others keep away.
        lease_token           text,
        lease_owner           text,
        lease_until           timestamptz,
        revision              integer     NOT NULL,
        created_at            timestamptz NOT NULL,
        updated_at            timestamptz NOT NULL,
        UNIQUE (project_id, provider)
      )`);
    await queryRunner.query('CREATE INDEX key_configuration_due ON key_configuration (next_check_at)');
    await queryRunner.query('CREATE INDEX key_configuration_sealing_key ON key_configuration (sealing_key_id)');
    await queryRunner.query(`
      CREATE TABLE validity_check (
        id                bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        configuration_id  text        NOT NULL,
        revision          integer     NOT NULL,
        checked_at        timestamptz NOT NULL,
        verdict           text        NOT NULL,
        reason            text,
        error_name        text,
        request_id        text,
        observer          text        NOT NULL,
        duration_ms       integer     NOT NULL,
        state_after       text        NOT NULL
      )`);
    await queryRunner.query('CREATE INDEX validity_check_of_configuration ON validity_check (configuration_id, checked_at)');
    // A block-range index: rows come in the order of time, so pruning by age needs no more, and inserts stay cheap.
    await queryRunner.query('CREATE INDEX validity_check_age ON validity_check USING brin (checked_at)');
    await queryRunner.query(`
      CREATE TABLE project (
        id          text        PRIMARY KEY,
        org_id      text        NOT NULL,
        deleted_at  timestamptz,
        revision    integer     NOT NULL
      )`);
    await queryRunner.query(`
      CREATE TABLE cluster (
        id          text        PRIMARY KEY,
        project_id  text        NOT NULL,
        name        text        NOT NULL,
        provider    text        NOT NULL,
        deleted_at  timestamptz,
        revision    integer     NOT NULL
      )`);
    await queryRunner.query('CREATE INDEX cluster_of_project ON cluster (project_id, provider)');
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('DROP TABLE cluster');
    await queryRunner.query('DROP TABLE project');
    await queryRunner.query('DROP TABLE validity_check');
    await queryRunner.query('DROP TABLE key_configuration');
  }
}
