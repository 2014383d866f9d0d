import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Requests of agents for access to customer keys, and when each is answered. Nothing in them is secret: the answer is only ever in an event, sealed. */
export class KeyAccessRequests1795481200000 implements MigrationInterface {
  readonly name = 'KeyAccessRequests1795481200000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      CREATE TABLE key_access_request (
        task_id      text PRIMARY KEY,
        host_id      text NOT NULL,
        project_id   text NOT NULL,
        provider     text NOT NULL,
        -- The public key of the host that the answer is sealed for.
        sealing_key  jsonb NOT NULL,
        -- Of the task: a later request takes the place of an earlier one.
        revision     integer NOT NULL,
        requested_at timestamptz NOT NULL,
        -- When it is worked on; whoever does moves it ahead, so that another one takes over from a replica that died.
        due_at       timestamptz NOT NULL,
        -- How often it was worked on.
        tries        integer NOT NULL,
        answered_at  timestamptz
      )`);
    await queryRunner.query('CREATE INDEX key_access_request_due ON key_access_request (due_at) WHERE answered_at IS NULL');
    await queryRunner.query('CREATE INDEX key_access_request_answered ON key_access_request (answered_at) WHERE answered_at IS NOT NULL');
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('DROP TABLE key_access_request');
  }
}
