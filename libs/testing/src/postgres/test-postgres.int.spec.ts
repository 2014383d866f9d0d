import pg from 'pg';
import { expect, test } from 'vitest';
import { testDatabase } from './test-postgres.js';

test('each test database is empty, of its own, and gone after it is dropped', async () => {
  const first = await testDatabase('First: ünï "code"');
  const second = await testDatabase('First: ünï "code"');
  expect(second.name).not.toBe(first.name);
  const client = new pg.Client({ connectionString: first.url });
  await client.connect();
  await client.query('CREATE TABLE t (a int)');
  await second.drop();
  const left = await client.query('SELECT datname FROM pg_database WHERE datname = ANY($1)', [[first.name, second.name]]);
  expect(left.rows).toEqual([{ datname: first.name }]);
  await client.end();
  await first.drop();
});
