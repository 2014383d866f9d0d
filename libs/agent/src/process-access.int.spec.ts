import { randomBytes } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AGENT_USERNAME, newObjectId, type ProcessAccessSecret, type ProcessGoal } from '@atrest/contracts';
import { waitFor } from '@atrest/testing';
import type { MongoClient } from 'mongodb';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { all, desire, running, stop, stopped, writable } from './test-goals.contract.js';
import { TestHost } from './test-host.contract.js';

let host: TestHost;
let goals: ProcessGoal[] = [];
const secrets: string[] = [];
beforeAll(async () => {
  host = await TestHost.open();
});
afterEach(async () => {
  await host.endAgent();
});
afterAll(() => host?.close(goals));

const DENIED = { code: 13 };
const REFUSED = { code: 18 };

function secretOf(clusterId: string, change: Partial<ProcessAccessSecret> = {}): ProcessAccessSecret {
  const secret: ProcessAccessSecret = {
    clusterId,
    keyFile: randomBytes(750).toString('base64'),
    login: { kind: 'password', username: AGENT_USERNAME, password: randomBytes(24).toString('base64url'), authSource: 'admin' },
    administrator: null,
    tls: null,
    ...change,
  };
  secrets.push(secret.keyFile ?? '', secret.login?.kind === 'password' ? secret.login.password : '', secret.administrator?.password ?? '');
  return secret;
}

const administrator = (username: string) => ({ id: newObjectId(), username, password: randomBytes(12).toString('base64url') });

async function guarded(set: readonly ProcessGoal[], secret: ProcessAccessSecret): Promise<ProcessGoal[]> {
  const sealed = await host.controlPlane.seal(secret);
  return set.map((goal) => ({ ...goal, clusterId: secret.clusterId, access: { sealed } }));
}

/** A client of one member, or of one that follows the set to its primary. */
function client(
  goal: ProcessGoal,
  who?: { readonly username: string; readonly password: string },
  query = 'directConnection=true',
): MongoClient {
  const login = who === undefined ? '' : `${who.username}:${encodeURIComponent(who.password)}@`;
  return host.client(`mongodb://${login}127.0.0.1:${goal.port}/?${query}`);
}

const reports = (id: string, set: readonly ProcessGoal[]) => (observed: Parameters<ReturnType<typeof writable>>[0]) =>
  set.some((goal) => observed.get(goal.id)?.administrator === id);

describe('a replica set with access control', () => {
  let secret: ProcessAccessSecret;
  let members: ProcessGoal[];

  it('is initiated and led to a primary, with the users of its agents and its administrator before anybody is told that it takes writes', async () => {
    await host.startAgent();
    secret = secretOf(newObjectId(), { administrator: administrator('owner') });
    members = await guarded(await host.replicaSet('guarded', 3), secret);
    goals.push(...members);
    host.controlPlane.order(members);
    const observed = await host.controlPlane.until('a primary with users', writable(members));
    expect([...observed.values()].find((process) => process.writable)).toMatchObject({
      memberState: 'PRIMARY',
      administrator: secret.administrator!.id,
      error: null,
    });

    const [first] = members;
    await expect(client(first!).db('shop').collection('orders').findOne()).rejects.toMatchObject(DENIED);
    await expect(
      client(first!)
        .db('admin')
        .command({ createUser: 'x', pwd: 'y', roles: ['root'] }),
    ).rejects.toMatchObject(DENIED);
    const owner = client(first!, secret.administrator!, 'replicaSet=guarded');
    await owner
      .db('shop')
      .collection('orders')
      .insertOne({ n: 1 }, { writeConcern: { w: 3 } });
    const { users } = await owner.db('admin').command({ usersInfo: { user: AGENT_USERNAME, db: 'admin' } });
    const [agent] = users as { roles: { role: string }[] }[];
    expect(agent!.roles.map(({ role }) => role).sort()).toEqual(['backup', 'clusterManager', 'clusterMonitor', 'hostManager']);
  });

  it('is stopped and started as one without: the members are told apart, one is stepped up, and nothing is made twice', async () => {
    await host.startAgent();
    host.controlPlane.order(desire(members, stop));
    await host.controlPlane.until('all stopped', stopped(members));
    host.lines.length = 0;
    host.controlPlane.order(members);
    await host.controlPlane.until('a primary', writable(members));
    const said = host.lines.map((line) => String(line['msg']));
    expect(said.some((line) => line.startsWith('stepping up'))).toBe(true);
    expect(said.filter((line) => line.startsWith('making users') || line.includes('initiating'))).toEqual([]);
  });

  it('has its administrator reset and another one made, while a password that its owner changed is left alone', async () => {
    await host.startAgent();
    const before = secret.administrator!;
    const renewed = { ...administrator('owner'), username: before.username };
    secret = secretOf(secret.clusterId, { ...secret, administrator: renewed });
    members = await guarded(members, secret);
    host.controlPlane.order(members);
    await host.controlPlane.until('the reset', reports(renewed.id, members));
    const owner = client(members[0]!, renewed, 'replicaSet=guarded');
    expect(await owner.db('shop').collection('orders').countDocuments()).toBe(1);
    await expect(client(members[0]!, before).db('admin').command({ ping: 1 })).rejects.toMatchObject(REFUSED);

    const own = { username: before.username, password: 'my own choice' };
    await owner.db('admin').command({ updateUser: own.username, pwd: own.password });
    await host.endAgent();
    await host.startAgent();
    await host.controlPlane.until('a primary', writable(members));
    expect(await client(members[0]!, own, 'replicaSet=guarded').db('shop').collection('orders').countDocuments()).toBe(1);
  });

  it("makes the agent's user again when it is gone, and says so when somebody else has its name", async () => {
    await host.startAgent();
    await host.controlPlane.until('a primary', writable(members));
    const owner = client(members[0]!, { username: 'owner', password: 'my own choice' }, 'replicaSet=guarded');
    await owner.db('admin').command({ updateUser: AGENT_USERNAME, pwd: 'of somebody else' });
    await host.endAgent();
    await host.startAgent();
    await host.controlPlane.until('the complaint', (observed) =>
      members.some((goal) => /exists with another password/.test(observed.get(goal.id)?.error ?? '')),
    );
    await owner.db('admin').command({ dropUser: AGENT_USERNAME });
    await host.controlPlane.until('the user again', writable(members));
    expect(
      await client(members[0]!, { username: 'owner', password: 'my own choice' }, 'replicaSet=guarded').db('admin').command({ ping: 1 }),
    ).toMatchObject({
      ok: 1,
    });
  });

  it('shows its secrets in no log and no report; on disk only the key file holds one, for its owner alone', async () => {
    const said = JSON.stringify([host.lines, host.controlPlane.reports]);
    const files = await readdir(join(host.folder, 'state'), { recursive: true, withFileTypes: true });
    const holding: string[] = [];
    for (const file of files.filter((each) => each.isFile())) {
      const path = join(file.parentPath, file.name);
      const content = await readFile(path, 'utf8');
      if (secrets.some((each) => each !== '' && content.includes(each))) holding.push(path);
    }
    for (const each of secrets.filter((text) => text !== '')) expect(said).not.toContain(each);
    expect(holding.map((path) => path.slice(path.lastIndexOf('.')))).toEqual(members.map(() => '.key'));
    for (const path of holding) expect((await stat(path)).mode & 0o777).toBe(0o600);
  });
});

describe('an access that cannot be used', () => {
  it('keeps its process from being started, with the reason, until one comes that can be opened', async () => {
    await host.startAgent();
    const secret = secretOf(newObjectId());
    const [good] = await guarded(await host.replicaSet('late', 1), secret);
    goals.push(good!);
    const strange = await host.controlPlane.seal(secretOf(newObjectId()));
    for (const [sealed, reason] of [
      [good!.access!.sealed.replace(/\.[\w-]{4}/, '.AAAA'), /sealed for another key or damaged/],
      [strange, /made for another cluster/],
    ] as const) {
      host.controlPlane.order([{ ...good!, access: { sealed } }]);
      await host.controlPlane.until(
        'the refusal',
        all([good!], (process) => process.status === 'failed' && reason.test(process.error ?? '')),
      );
    }
    host.controlPlane.order([good!]);
    const observed = await host.controlPlane.until('a primary', writable([good!]));
    expect(observed.get(good!.id)?.error).toBeNull();
  });

  it('is missed: a process that had access control is not started without', async () => {
    await host.startAgent();
    const [goal] = await guarded(await host.replicaSet('once', 1), secretOf(newObjectId()));
    goals.push(goal!);
    host.controlPlane.order([goal!]);
    await host.controlPlane.until('a primary', writable([goal!]));
    host.controlPlane.order(desire([goal!], stop));
    await host.controlPlane.until('its stop', stopped([goal!]));
    const { access: _, ...open } = goal!;
    host.controlPlane.order([open]);
    const observed = await host.controlPlane.until(
      'the refusal',
      all([open], (process) => process.status === 'failed'),
    );
    expect(observed.get(open.id)?.error).toContain('had access control before');
  });

  it('names a login that an adopted process does not take, and uses the right one as soon as it is given', async () => {
    await host.startAgent();
    const secret = secretOf(newObjectId(), { administrator: administrator('owner') });
    const [own] = await guarded(await host.replicaSet('adopted', 1), secret);
    goals.push(own!);
    host.controlPlane.order([own!]);
    await host.controlPlane.until('a primary', writable([own!]));
    await host.endAgent();

    const given = (password: string) => ({ kind: 'password', username: 'owner', password, authSource: 'admin' }) as const;
    const asAdopted = async (password: string) =>
      (await guarded([own!], { ...secret, keyFile: null, login: given(password), administrator: null })).map((goal) => ({
        ...goal,
        adopted: true,
      }));
    await host.startAgent();
    host.controlPlane.order(await asAdopted('wrong'));
    await host.controlPlane.until(
      'the refusal',
      all([own!], (process) => process.status === 'running' && /does not take the login/.test(process.error ?? '')),
    );
    host.controlPlane.order(await asAdopted(secret.administrator!.password));
    await host.controlPlane.until('no complaint', (observed) => running([own!])(observed) && observed.get(own!.id)?.error === null);
    await waitFor(() => Promise.resolve(host.controlPlane.observed?.get(own!.id)?.writable), { describe: 'it to be writable' });
  });
});
