import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Outbox, inbox and dead letters. The first migration of every service. */
export class Messaging1700000000000 implements MigrationInterface {
  name = 'Messaging1700000000000';

  async up(queryRunner: QueryRunner): Promise<void> {
    // json, not jsonb: an event passes through as it is, and jsonb refuses \u0000, with which a stranger could stop the inbox.
    await queryRunner.query(`
      CREATE TABLE outbox (
        position     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        event_id     uuid NOT NULL,
        topic        text NOT NULL,
        subject      text NOT NULL,
        envelope     json NOT NULL,
        recorded_at  timestamptz NOT NULL DEFAULT now(),
        published_at timestamptz
      )`);
    await queryRunner.query('CREATE INDEX outbox_waiting ON outbox (position) WHERE published_at IS NULL');
    await queryRunner.query('CREATE INDEX outbox_published ON outbox (published_at) WHERE published_at IS NOT NULL');
    // started counts attempts that began, failed those that ended with an error. started > failed + 1 tells that a process ended in the
    // middle. due_at: not before; while a replica is about to begin, it keeps others away for a moment. The envelope of a finished event
    // is dropped, its id stays to recognise a redelivery.
    await queryRunner.query(`
      CREATE TABLE inbox (
        position    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        event_id    uuid NOT NULL UNIQUE,
        topic       text NOT NULL,
        type        text NOT NULL,
        subject     text COLLATE "C" NOT NULL,
        origin      text NOT NULL,
        envelope    json,
        status      text NOT NULL CHECK (status IN ('pending', 'finished', 'ignored', 'parked')),
        started     integer NOT NULL DEFAULT 0,
        failed      integer NOT NULL DEFAULT 0,
        due_at      timestamptz NOT NULL DEFAULT now(),
        received_at timestamptz NOT NULL DEFAULT now(),
        ended_at    timestamptz,
        CHECK (status NOT IN ('pending', 'parked') OR envelope IS NOT NULL)
      )`);
    await queryRunner.query(`CREATE INDEX inbox_waiting ON inbox (subject, position) WHERE status = 'pending'`);
    await queryRunner.query(`CREATE INDEX inbox_ended ON inbox (ended_at) WHERE status IN ('finished', 'ignored')`);
    // event_id is text here: what could not be read has no UUID and is named by its digest.
    await queryRunner.query(`
      CREATE TABLE dead_letter (
        id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        event_id    text NOT NULL UNIQUE,
        topic       text NOT NULL,
        type        text,
        subject     text,
        origin      text NOT NULL,
        envelope    json NOT NULL,
        reason      text NOT NULL,
        detail      text NOT NULL,
        handler     text,
        attempts    integer NOT NULL,
        parked_at   timestamptz NOT NULL DEFAULT now(),
        replayed_at timestamptz
      )`);
    await queryRunner.query('CREATE INDEX dead_letter_open ON dead_letter (id) WHERE replayed_at IS NULL');
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('DROP TABLE dead_letter, inbox, outbox');
  }
}
