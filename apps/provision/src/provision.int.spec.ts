import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '@atrest/platform-logging';
import { Metrics } from '@atrest/platform-metrics';
import { ServiceDatabase } from '@atrest/platform-persistence';
import { testDatabase, testPostgres, type TestDatabase } from '@atrest/testing';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { provisionDatabase } from './provision-database.js';
import { provision, SERVICES } from './provision.js';

let database: TestDatabase;
/** Roles belong to the whole server, which other suites use too. */
let rolePrefix: string;
const clients: pg.Client[] = [];

beforeEach(async () => {
  database = await testDatabase('provision');
  rolePrefix = `${database.name}_`;
});
afterEach(async () => {
  const { rows } = await asAdmin(`SELECT rolname FROM pg_roles WHERE starts_with(rolname, '${rolePrefix}')`);
  for (const client of clients.splice(0)) await client.end();
  await database.drop();
  const server = await connect((await testPostgres()).url);
  for (const { rolname } of rows) await server.query(`DROP ROLE "${rolname}"`);
  for (const client of clients.splice(0)) await client.end();
});

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  clients.push(client);
  return client;
}
const asAdmin = async (sql: string) => (await connect(database.url)).query(sql);
const denied = { code: '42501' };

describe('provisioning', () => {
  it('gives each service a role that owns its schema and can neither read nor make anything else', async () => {
    const [fleet, notification] = await provisionDatabase({ adminUrl: database.url, services: ['fleet', 'notification'], rolePrefix });
    const asFleet = await connect(fleet!.url);
    const asNotification = await connect(notification!.url);
    await asFleet.query('CREATE TABLE fleet.host (id int)');
    await asFleet.query('INSERT INTO fleet.host VALUES (1)');
    for (const sql of [
      'SELECT * FROM fleet.host',
      'CREATE TABLE fleet.other (id int)',
      'CREATE TABLE public.other (id int)',
      'CREATE SCHEMA other',
      'CREATE TEMPORARY TABLE other (id int)',
      `SET ROLE "${fleet!.role}"`,
      `CREATE ROLE "${rolePrefix}x"`,
    ]) {
      await expect(asNotification.query(sql), sql).rejects.toMatchObject(denied);
    }
    expect((await asFleet.query('SELECT * FROM fleet.host')).rows).toEqual([{ id: 1 }]);
  });

  it('can be run again, also twice at once: the passwords it is told stay, others change', async () => {
    const run = (password?: string) =>
      provisionDatabase({ adminUrl: database.url, services: ['fleet'], rolePrefix, passwordOf: () => password });
    await Promise.all([run('first'), run('first')]);
    const [kept] = await run('first');
    await connect(kept!.url);
    const [changed] = await run();
    await connect(changed!.url);
    await expect(connect(kept!.url)).rejects.toMatchObject({ code: '28P01' });
  });

  it('works without superuser rights, which then own and read nothing of the services', async () => {
    await asAdmin(`CREATE ROLE "${rolePrefix}admin" LOGIN CREATEROLE PASSWORD 'admin'`);
    await asAdmin(`ALTER DATABASE "${database.name}" OWNER TO "${rolePrefix}admin"`);
    const adminUrl = new URL(database.url);
    adminUrl.username = `${rolePrefix}admin`;
    adminUrl.password = 'admin';
    const run = () => provisionDatabase({ adminUrl: adminUrl.href, services: ['fleet'], rolePrefix });
    await run();
    const [fleet] = await run();
    await (await connect(fleet!.url)).query('CREATE TABLE fleet.host (id int)');
    await expect((await connect(adminUrl.href)).query('SELECT * FROM fleet.host')).rejects.toMatchObject(denied);
    await run();
    await asAdmin(`ALTER DATABASE "${database.name}" OWNER TO CURRENT_USER`);
  });

  it('takes over what the standalone app made under one role', async () => {
    await asAdmin(`CREATE SCHEMA fleet`);
    await asAdmin(`CREATE TABLE fleet.host (id int GENERATED ALWAYS AS IDENTITY, serial serial, name text UNIQUE)`);
    await asAdmin(`CREATE SEQUENCE fleet.position; CREATE VIEW fleet.names AS SELECT name FROM fleet.host`);
    const [fleet] = await provisionDatabase({ adminUrl: database.url, services: ['fleet'], rolePrefix });
    const asFleet = await connect(fleet!.url);
    await asFleet.query(`INSERT INTO fleet.host (name) VALUES ('db1'); ALTER TABLE fleet.host ADD COLUMN age int; DROP VIEW fleet.names`);
    await asFleet.query('DROP SEQUENCE fleet.position');
    expect((await asFleet.query('SELECT name, age FROM fleet.host')).rows).toEqual([{ name: 'db1', age: null }]);
  });

  it('refuses names that are no schema, and leaves nothing behind', async () => {
    const run = provisionDatabase({ adminUrl: database.url, services: ['fleet', 'x"; DROP'], rolePrefix });
    await expect(run).rejects.toThrow('cannot name a schema');
    expect((await asAdmin(`SELECT 1 FROM pg_roles WHERE starts_with(rolname, '${rolePrefix}')`)).rows).toEqual([]);
  });

  it('leaves a service what it needs to migrate its schema, and keeps its secrets over runs', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'atrest-provision-'));
    const run = () => provision({ adminUrl: database.url, folder, rolePrefix });
    const secret = (service: string, name: string) => readFile(join(folder, service, name), 'utf8');
    const all = () => Promise.all(SERVICES.map(({ service }) => secret(service, 'database-url')));
    expect((await run()).map(({ service }) => service)).toEqual(SERVICES.map(({ service }) => service));
    const before = [...(await all()), await secret('fleet', 'sealing-keys')];
    await run();
    expect([...(await all()), await secret('fleet', 'sealing-keys')]).toEqual(before);
    expect(await secret('fleet', 'sealing-keys')).not.toBe(await secret('kms-validation', 'sealing-keys'));
    expect((await stat(join(folder, 'fleet', 'database-url'))).mode & 0o777).toBe(0o600);
    const opened = await ServiceDatabase.open({
      service: 'kms-validation',
      url: (await secret('kms-validation', 'database-url')).trim(),
      migrations: [],
      logger: createLogger({ service: 'test', level: 'silent' }),
      metrics: new Metrics({}),
    });
    await opened.query('CREATE TABLE t (a int)');
    await opened.close();
    await rm(folder, { recursive: true });
  });
});
