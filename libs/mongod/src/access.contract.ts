import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Db, type Document, MongoClient } from 'mongodb';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { memberLogin, MongodConnection, type Login } from './connection.js';
import { MongodHarness, PATIENCE, type ServerUnderTest } from './mongod-harness.contract.js';

const DENIED = { code: 13, codeName: 'Unauthorized' };
const BACKUP_CURSOR = { aggregate: 1, pipeline: [{ $backupCursor: {} }], cursor: {} };

/** Commands whose rights were recorded, one built-in role after the other. */
const ASKED = {
  status: { replSetGetStatus: 1 },
  config: { replSetGetConfig: 1 },
  backupCursor: BACKUP_CURSOR,
  getDefaults: { getDefaultRWConcern: 1 },
  setDefaults: { setDefaultRWConcern: 1, defaultReadConcern: { level: 'local' } },
  commandLine: { getCmdLineOpts: 1 },
  serverStatus: { serverStatus: 1 },
  featureVersion: { getParameter: 1, featureCompatibilityVersion: 1 },
  lock: { fsync: 1, lock: true },
  databases: { listDatabases: 1 },
} as const;

type Asked = keyof typeof ASKED;
const MAY: Record<string, readonly Asked[]> = {
  clusterMonitor: ['status', 'config', 'getDefaults', 'commandLine', 'serverStatus', 'featureVersion', 'databases'],
  backup: ['backupCursor', 'serverStatus', 'featureVersion', 'databases'],
  hostManager: ['lock', 'databases'],
  clusterManager: ['status', 'config', 'getDefaults', 'setDefaults', 'databases'],
};

/** Internal authentication, the localhost exception, logins and the rights of built-in roles, as recorded from Percona Server for MongoDB 4.4. */
export function accessContract(name: string, server: ServerUnderTest, options: { skipped?: boolean } = {}): void {
  describe.skipIf(options.skipped)(`access: ${name}`, { timeout: 240_000 }, () => {
    const harness = new MongodHarness(server);
    const clients: { close(): Promise<void> }[] = [];
    beforeAll(() => harness.open());
    afterEach(async () => {
      for (const client of clients.splice(0)) await client.close();
      await harness.killAll();
    });
    afterAll(() => harness.close());

    /** The database `admin` over a client of its own; without a name, without a login. */
    function admin(port: number, user?: string, password = 'correct horse', mechanism?: 'SCRAM-SHA-1' | 'SCRAM-SHA-256'): Db {
      const auth = user === undefined ? {} : { auth: { username: user, password }, ...(mechanism && { authMechanism: mechanism }) };
      const client = new MongoClient(`mongodb://127.0.0.1:${port}/?directConnection=true`, { serverSelectionTimeoutMS: 30_000, ...auth });
      clients.push(client);
      return client.db('admin');
    }

    async function newKeyFile(): Promise<string> {
      const path = join(harness.folder, `key-${randomBytes(6).toString('hex')}`);
      // White space in it means nothing.
      await writeFile(path, `${randomBytes(750).toString('base64')}\n`, { mode: 0o600 });
      return path;
    }

    async function set(members: number, given?: string): Promise<number[]> {
      const keyFile = given ?? (await newKeyFile());
      const goals = await Promise.all(Array.from({ length: members }, () => harness.goal()));
      const hosts = goals.map((goal, id) => ({ id, host: `127.0.0.1:${goal.port}`, priority: 1, votes: 1, arbiterOnly: false }));
      for (const [id, goal] of goals.entries()) {
        await harness.startReady({
          ...goal,
          extraArguments: [...goal.extraArguments, '--keyFile', keyFile],
          replicaSet: { name: 'rs0', role: 'plain', members: hosts, leads: id === 0 },
        });
      }
      return goals.map(({ port }) => port);
    }

    /** Initiates a set over the localhost exception and waits for its primary; returns that one's port. */
    async function initiated(ports: readonly number[]): Promise<number> {
      const members = ports.map((port, id) => ({ _id: id, host: `127.0.0.1:${port}` }));
      const all = ports.map((port) => admin(port));
      await expect(all[0]!.command({ replSetGetStatus: 1 })).rejects.toMatchObject({ code: 94 });
      expect(await all[0]!.command({ replSetInitiate: { _id: 'rs0', members } })).toMatchObject({ ok: 1 });
      return vi.waitUntil(async () => {
        for (const [index, each] of all.entries())
          if ((await each.command({ hello: 1 }))['isWritablePrimary'] === true) return ports[index];
        return false;
      }, PATIENCE) as Promise<number>;
    }

    it('without a user the localhost may set up and no more; with one, nobody may anything without a login', async () => {
      const port = await initiated(await set(1));
      const nobody = admin(port);
      const find = { find: 'x' };
      await expect(nobody.client.db('test').command(find)).rejects.toMatchObject({
        ...DENIED,
        message: expect.stringContaining('not authorized on test to execute command { find: "x"'),
      });
      const root = { createUser: 'root', pwd: 'correct horse', roles: ['root'] };
      expect(await nobody.command(root)).toMatchObject({ ok: 1 });
      await expect(nobody.command({ ...root, createUser: 'second' })).rejects.toMatchObject({
        ...DENIED,
        message: 'command createUser requires authentication',
      });
      await expect(nobody.command({ replSetGetStatus: 1 })).rejects.toMatchObject(DENIED);
      expect(await nobody.command({ hello: 1 })).toMatchObject({ ok: 1, setName: 'rs0' });

      for (const mechanism of [undefined, 'SCRAM-SHA-1', 'SCRAM-SHA-256'] as const) {
        expect(await admin(port, 'root', 'correct horse', mechanism).command({ replSetGetStatus: 1 })).toMatchObject({ ok: 1 });
      }
      for (const [user, password] of [
        ['root', 'wrong'],
        ['nobody', 'correct horse'],
      ]) {
        await expect(admin(port, user, password).command({ ping: 1 })).rejects.toMatchObject({
          code: 18,
          codeName: 'AuthenticationFailed',
        });
      }
      const known = admin(port, 'root');
      await expect(known.command(root)).rejects.toMatchObject({ code: 51003 });
      await expect(known.command({ ...root, createUser: 'x', roles: ['nosuch'] })).rejects.toMatchObject({ code: 31 });
      const { users } = await known.command({ usersInfo: 1 });
      expect(users as Document[]).toMatchObject([{ _id: 'admin.root', user: 'root', db: 'admin', roles: [{ role: 'root', db: 'admin' }] }]);
      expect(JSON.stringify(users)).not.toContain('storedKey');
    });

    it('gives each built-in role what was recorded, and all four together what an agent needs', async () => {
      const port = await initiated(await set(1));
      await admin(port).command({ createUser: 'root', pwd: 'correct horse', roles: ['root'] });
      const root = admin(port, 'root');
      for (const role of Object.keys(MAY)) await root.command({ createUser: role, pwd: 'correct horse', roles: [role] });
      await root.command({ createUser: 'agent', pwd: 'correct horse', roles: Object.keys(MAY) });
      const hasBackupCursor = await outcome(root, 'backupCursor', root);
      for (const [user, may] of [...Object.entries(MAY), ['agent', Object.keys(ASKED)] as const]) {
        const db = admin(port, user);
        for (const asked of Object.keys(ASKED) as Asked[]) {
          // Community: a stage that is not known is refused before rights are looked at.
          if (asked === 'backupCursor' && hasBackupCursor === 40324) continue;
          expect([user, asked, await outcome(db, asked, root)]).toEqual([user, asked, may.includes(asked) ? 'ok' : 13]);
        }
      }
    });

    it('who has the key file logs in as the members do, with and without users, and may do everything', async () => {
      const keyFile = await newKeyFile();
      const port = await initiated(await set(1, keyFile));
      const content = await readFile(keyFile, 'utf8');
      const member = () => {
        const client = new MongoClient(`mongodb://127.0.0.1:${port}/?directConnection=true&authSource=local`, {
          auth: { username: '__system', password: content.replaceAll(/\s/g, '') },
        });
        clients.push(client);
        return client.db('admin');
      };
      expect(await member().command({ replSetGetStatus: 1 })).toMatchObject({ ok: 1 });
      const customData = { made: 'here' };
      expect(await member().command({ createUser: 'agent', pwd: 'correct horse', roles: ['backup'], customData })).toMatchObject({ ok: 1 });
      await expect(admin(port, '__system', 'wrong').command({ replSetGetStatus: 1 })).rejects.toMatchObject({ code: 18 });

      // A user sees itself, and nobody else without the right to.
      const agent = admin(port, 'agent');
      const { users } = await agent.command({ usersInfo: { user: 'agent', db: 'admin' } });
      expect(users as Document[]).toMatchObject([{ user: 'agent', customData }]);
      await expect(agent.command({ usersInfo: 1 })).rejects.toMatchObject(DENIED);
      await member().command({ updateUser: 'agent', customData: { made: 'there' } });
      expect((await agent.command({ usersInfo: { user: 'agent', db: 'admin' } }))['users']).toMatchObject([
        { customData: { made: 'there' } },
      ]);
    });

    it('a connection asks with the first of its logins that the server takes, and for signs of life without any', async () => {
      const keyFile = await newKeyFile();
      const port = await initiated(await set(1, keyFile));
      const agent = { kind: 'password', username: 'agent', password: 'correct horse', authSource: 'admin' } as const;
      const member = memberLogin(await readFile(keyFile, 'utf8'));
      const connect = (...logins: Login[]) => {
        const connection = new MongodConnection({ host: '127.0.0.1', port, logins, timeoutMs: 10_000 });
        clients.push(connection);
        return connection;
      };
      const both = connect(agent, member);
      expect(await both.replicaSetStatus()).toMatchObject({ ok: true });
      expect(both.login).toBe(member);
      const user = { username: 'agent', password: 'correct horse', roles: ['clusterMonitor'], customData: { n: 1 } };
      expect(await connect().createUser(user)).toMatchObject({ ok: true });
      expect(await connect().createFirstUser(user)).toMatchObject({ ok: false, failure: { kind: 'unauthorized' } });
      expect(await both.createUser(user)).toMatchObject({ ok: false, failure: { kind: 'user-exists' } });
      both.loginAgain();
      expect(await both.user('agent')).toEqual({ ok: true, value: { username: 'agent', customData: { n: 1 } } });
      expect(both.login).toBe(agent);
      expect(await both.stepUp()).toMatchObject({ ok: false, failure: { kind: 'unauthorized' } });

      const wrong = connect({ ...agent, password: 'wrong' });
      expect(await wrong.ping()).toMatchObject({ ok: false, failure: { kind: 'authentication-failed' } });
      expect(await wrong.hello()).toMatchObject({ ok: true, value: { memberState: 'PRIMARY' } });
      expect(await connect(member).user('nobody')).toEqual({ ok: true, value: null });
      expect(await connect(member).changeUser('agent', { customData: { n: 2 }, roles: ['clusterManager'] })).toMatchObject({ ok: true });
      expect(await connect(agent).user('agent')).toMatchObject({ value: { customData: { n: 2 } } });
    });

    it('members prove the key file to each other: what one takes, the others have', async () => {
      const ports = await set(2);
      const primary = await initiated(ports);
      await admin(primary).command({ createUser: 'root', pwd: 'correct horse', roles: ['root'] });
      const root = admin(primary, 'root');
      const write = { insert: 'orders', documents: [{ n: 1 }], writeConcern: { w: 2, wtimeout: PATIENCE.timeout } };
      expect(await root.client.db('shop').command(write)).not.toHaveProperty('writeConcernError');
      const secondary = admin(
        ports.find((port) => port !== primary)!,
        'root',
      );
      const read = await secondary.client.db('shop').collection('orders').countDocuments({}, { readPreference: 'secondary' });
      expect(read).toBe(1);
    });
  });
}

/** `ok`, or the code of the refusal. What a success leaves open is ended by `root`. */
async function outcome(db: Db, asked: Asked, root: Db): Promise<'ok' | number> {
  try {
    const reply = await db.command(ASKED[asked], { promoteLongs: false });
    if (asked === 'lock') await root.command({ fsyncUnlock: 1 });
    if (asked === 'backupCursor') await root.command({ killCursors: '$cmd.aggregate', cursors: [reply['cursor'].id] });
    return 'ok';
  } catch (error) {
    return (error as { code: number }).code;
  }
}
