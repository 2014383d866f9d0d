import { createServer } from 'node:net';
import { createLogger } from '@atrest/platform-logging';
import { Metrics } from '@atrest/platform-metrics';
import { testDatabase, waitFor, type TestDatabase } from '@atrest/testing';
import type { QueryRunner } from 'typeorm';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  awaitProjection,
  databaseErrorCode,
  DatabaseUnavailableError,
  MigrationFailedError,
  notify,
  rows,
  ServiceDatabase,
  signalAfterCommit,
  TransactionAbortedError,
  TransactionEndedError,
  UnsafeIntegerError,
  writeLastly,
  type ServiceDatabaseOptions,
} from './index.js';

class Accounts1700000000010 {
  name = 'Accounts1700000000010';
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      'CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL, opened_at timestamptz NOT NULL DEFAULT now(), day date)',
    );
    await runner.query('INSERT INTO account (id, balance, day) VALUES (1, 100, $1), (2, 100, NULL)', ['2026-02-03']);
  }
  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE account');
  }
}

class Broken1700000000020 {
  name = 'Broken1700000000020';
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('CREATE TABLE half_done (id int)');
    await runner.query('CREATE TABLE half_done (id int)');
  }
  async down(): Promise<void> {}
}

let database: TestDatabase;
let opened: ServiceDatabase[];

beforeEach(async () => {
  opened = [];
  database = await testDatabase('service database');
});

afterEach(async () => {
  for (const each of opened) await each.close();
  await database.drop();
});

async function open(o: Partial<ServiceDatabaseOptions> = {}): Promise<ServiceDatabase> {
  const service = await ServiceDatabase.open({
    service: 'key-bank',
    url: database.url,
    migrations: [Accounts1700000000010],
    logger: createLogger({ service: 'test', level: 'silent' }),
    metrics: new Metrics(),
    ...o,
  });
  opened.push(service);
  return service;
}

const balances = (service: ServiceDatabase) => service.query<{ balance: number }>('SELECT balance FROM account ORDER BY id');

/** Ends every connection but the one that asks. Repeated, because that one may have been ended before. */
const breakConnections = (service: ServiceDatabase) =>
  waitFor(
    () =>
      service.query(
        'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
      ),
    { describe: 'a connection to break the others by' },
  );

describe('opening', () => {
  test('replicas that start together migrate once, each service in its own schema', async () => {
    const replicas = await Promise.all([open(), open(), open(), open({ service: 'other' })]);
    expect(await replicas[0]?.query('SELECT name FROM migrations')).toEqual([{ name: 'Accounts1700000000010' }]);
    expect(await replicas[0]?.query('SELECT current_schema() AS schema')).toEqual([{ schema: 'key_bank' }]);
    expect(await replicas[3]?.query('SELECT current_schema() AS schema')).toEqual([{ schema: 'other' }]);
    await replicas[0]?.query('DELETE FROM account');
    expect(await replicas[3]?.query('SELECT 1 FROM account')).toHaveLength(2);
  });

  test('F67 a failed migration leaves nothing behind and keeps the service from starting', async () => {
    const service = await open();
    const attempt = open({ migrations: [Accounts1700000000010, Broken1700000000020] });
    await expect(attempt).rejects.toBeInstanceOf(MigrationFailedError);
    expect(await service.query(`SELECT to_regclass('half_done') AS found`)).toEqual([{ found: null }]);
    expect(await service.query('SELECT count(*) AS count FROM migrations')).toEqual([{ count: 1 }]);
  });

  test('F67 a release that is older than the schema starts on it', async () => {
    await open({ migrations: [Accounts1700000000010] });
    const older = await open({ migrations: [] });
    expect(await balances(older)).toHaveLength(2);
  });

  test('waits for a PostgreSQL that is not there yet, and gives up in the end', async () => {
    const real = new URL(database.url);
    // Takes the port, and sends everybody away until it lets the real server answer.
    let open_ = false;
    const { connect } = await import('node:net');
    let refused = 0;
    const door = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      if (!open_) {
        refused += 1;
        socket.destroy();
        return;
      }
      const upstream = connect(Number(real.port), real.hostname);
      upstream.on('error', () => socket.destroy());
      socket.on('close', () => upstream.destroy());
      socket.pipe(upstream).pipe(socket);
    });
    await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve));
    const url = new URL(database.url);
    url.port = String((door.address() as { port: number }).port);
    try {
      const failure = await open({ url: url.href, connectTimeoutMs: 300 }).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(DatabaseUnavailableError);
      expect(String(failure)).not.toContain(url.password);
      const before = refused;
      const patient = open({ url: url.href });
      await waitFor(() => refused > before + 1, { describe: 'two attempts to connect' });
      open_ = true;
      expect(await balances(await patient)).toHaveLength(2);
      for (const each of opened.splice(0)) await each.close();
    } finally {
      door.close();
    }
  });

  test('a refusal is reported at once and without the password', async () => {
    const url = new URL(database.url);
    url.password = 'hunter2';
    const failure = await open({ url: url.href }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(DatabaseUnavailableError);
    expect(String(failure)).toContain('28P01');
    expect(String(failure)).not.toContain('hunter2');
  });
});

describe('statements', () => {
  test('give rows, also of UPDATE and DELETE; values arrive as what they are', async () => {
    const service = await open();
    const updated = await service.query('UPDATE account SET balance = balance + 1 WHERE id = 1 RETURNING balance, opened_at, day');
    expect(updated).toEqual([{ balance: 101, opened_at: expect.any(Date), day: '2026-02-03' }]);
    const deleted = await service.transaction((tx) => rows(tx, 'DELETE FROM account WHERE id = $1 RETURNING id', [2]));
    expect(deleted).toEqual([{ id: 2 }]);
    expect(await service.query('UPDATE account SET balance = 0 WHERE id = 99 RETURNING id')).toEqual([]);
  });

  test('a bigint that a number cannot hold fails instead of being rounded', async () => {
    const service = await open();
    await expect(service.query('SELECT 9007199254740993::bigint AS big')).rejects.toBeInstanceOf(UnsafeIntegerError);
    expect(await service.query('SELECT 9007199254740991::bigint AS big')).toEqual([{ big: Number.MAX_SAFE_INTEGER }]);
  });

  test('an error tells its code and no values', async () => {
    const service = await open();
    const failure = await service
      .transaction((tx) => rows(tx, 'INSERT INTO account (id, balance) VALUES ($1, $2)', ['hunter2', 1]))
      .catch((error: unknown) => error);
    expect(databaseErrorCode(failure)).toBe('22P02');
    expect((failure as { parameters?: unknown }).parameters).toBeUndefined();
  });
});

describe('transactions', () => {
  test('commit all or nothing', async () => {
    const service = await open();
    const failing = service.transaction(async (tx) => {
      await rows(tx, 'UPDATE account SET balance = 0');
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(await balances(service)).toEqual([{ balance: 100 }, { balance: 100 }]);
  });

  test('the victim of a deadlock is repeated', async () => {
    const service = await open();
    const firstLocks = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let runs = 0;
    const move = (from: number, to: number, mine: number) =>
      service.transaction(async (tx) => {
        runs += 1;
        await rows(tx, 'UPDATE account SET balance = balance - 10 WHERE id = $1', [from]);
        firstLocks[mine]?.resolve();
        await firstLocks[1 - mine]?.promise;
        await rows(tx, 'UPDATE account SET balance = balance + 10 WHERE id = $1', [to]);
      });
    await Promise.all([move(1, 2, 0), move(2, 1, 1)]);
    expect(runs).toBe(3);
    expect(await balances(service)).toEqual([{ balance: 100 }, { balance: 100 }]);
  });

  test('a statement that comes after the end is refused instead of running on its own', async () => {
    const service = await open();
    let late: Promise<unknown> = Promise.resolve();
    const ended = Promise.withResolvers<void>();
    await service.transaction(async (tx) => {
      late = ended.promise.then(() => rows(tx, 'UPDATE account SET balance = 1'));
      // Reported below.
      late.catch(() => undefined);
    });
    ended.resolve();
    await expect(late).rejects.toBeInstanceOf(TransactionEndedError);
    expect(await balances(service)).toEqual([{ balance: 100 }, { balance: 100 }]);
  });

  test('what was kept for the end is committed with the rest, or nothing is', async () => {
    const service = await open();
    const move = (id: unknown) =>
      service.transaction(async (tx) => {
        writeLastly(tx, () => ({ sql: 'UPDATE account SET balance = balance + 10 WHERE id = $1', parameters: [id] }));
        await rows(tx, 'UPDATE account SET balance = balance - 10 WHERE id = 1');
      });
    await move(2);
    expect(await balances(service)).toEqual([{ balance: 90 }, { balance: 110 }]);
    await expect(move('nobody')).rejects.toMatchObject({ code: '22P02' });
    expect(await balances(service)).toEqual([{ balance: 90 }, { balance: 110 }]);
    await service.transaction(async (tx) => writeLastly(tx, () => ({ sql: 'UPDATE account SET balance = 0', parameters: [] })));
    expect(await balances(service)).toEqual([{ balance: 0 }, { balance: 0 }]);
  });

  test('a statement that failed while nobody waited for it fails the transaction', async () => {
    const service = await open();
    const careless = service.transaction(async (tx) => {
      await rows(tx, 'UPDATE account SET balance = 0');
      void rows(tx, 'SELECT 1 / 0').catch(() => undefined);
    });
    await expect(careless).rejects.toBeInstanceOf(TransactionAbortedError);
    expect(await balances(service)).toEqual([{ balance: 100 }, { balance: 100 }]);
  });

  test('a transaction without statements gives its connection back', async () => {
    const service = await open({ poolSize: 1 });
    expect(await service.transaction(async () => 'nothing')).toBe('nothing');
    await expect(service.transaction(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(await balances(service)).toHaveLength(2);
  });
});

describe('losing the connection', () => {
  test('fails what is on it, and nothing later', async () => {
    const service = await open();
    const inside = Promise.withResolvers<void>();
    const broken = Promise.withResolvers<void>();
    const transaction = service.transaction(async (tx) => {
      await rows(tx, 'UPDATE account SET balance = 0');
      inside.resolve();
      await broken.promise;
      await rows(tx, 'UPDATE account SET balance = 1');
    });
    transaction.catch(() => undefined);
    await inside.promise;
    await breakConnections(service);
    broken.resolve();
    await expect(transaction).rejects.toThrow(/connection/i);
    await waitFor(async () => (await service.readiness()).ok, { describe: 'readiness' });
    expect(await balances(service)).toEqual([{ balance: 100 }, { balance: 100 }]);
  });

  test('listeners hear of what they may have missed, and hear again', async () => {
    const service = await open();
    const other = await open();
    const heard: string[] = [];
    const end = await service.listen('news', (payload) => heard.push(payload));
    await other.transaction((tx) => notify(tx, 'news', 'first'));
    await waitFor(() => heard.includes('first'), { describe: 'the first notification' });
    await breakConnections(other);
    await waitFor(() => heard.includes(''), { describe: 'the word of a reconnection' });
    await waitFor(() => other.transaction((tx) => notify(tx, 'news', 'second')).then(() => true), { describe: 'a notification' });
    await waitFor(() => heard.includes('second'), { describe: 'the second notification' });
    await end();
  });
});

describe('signals', () => {
  test('reach every replica after the commit, and nobody after a rollback', async () => {
    const here = await open();
    const there = await open();
    const heard = { here: 0, there: 0 };
    await here.listen('work', () => (heard.here += 1));
    await there.listen('work', () => (heard.there += 1));
    await here.transaction(async (tx) => signalAfterCommit(tx, 'work'));
    expect(heard.here).toBe(1);
    await waitFor(() => heard.there === 1, { describe: 'the other replica' });

    const undone = here.transaction(async (tx) => {
      signalAfterCommit(tx, 'work');
      throw new Error('no');
    });
    await expect(undone).rejects.toThrow('no');
    // What the other one hears next is the next one.
    await here.transaction(async (tx) => signalAfterCommit(tx, 'work'));
    await waitFor(() => heard.there >= 2, { describe: 'the next signal' });
    expect(heard).toEqual({ here: 2, there: 2 });
  });
});

test('a projection that lags is waited for, one that stays empty is not waited for long', async () => {
  let looks = 0;
  expect(await awaitProjection(async () => (++looks < 3 ? undefined : 'found'))).toBe('found');
  expect(await awaitProjection(async () => null, { timeoutMs: 1 })).toBeUndefined();
});
