import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newObjectId } from '@atrest/contracts';
import { rows } from '@atrest/platform-persistence';
import { waitFor } from '@atrest/testing';
import { FakeAgent } from '../test-support/fake-agent.contract.js';
import { FleetInstallation, replicaSet } from '../test-support/fleet-installation.contract.js';

let fleet: FleetInstallation;
beforeAll(async () => {
  fleet = await FleetInstallation.start('agent channel');
});
afterAll(() => fleet?.stop());

const create = async (name: string): Promise<string> => {
  const projectId = await fleet.project();
  const { status, body } = await fleet.call('POST', `/groups/${projectId}/clusters`, { body: replicaSet(name) });
  if (status !== 201) throw new Error(JSON.stringify(body));
  return projectId;
};

describe('enrolment', () => {
  it('takes a token once, shows a credential once, and tells nothing about a bad token', async () => {
    const token = await fleet.fleet.createEnrolmentToken();
    const agent = await FakeAgent.enrol(fleet.url, fleet.clock, token, { hostname: 'once.example', capacity: 0 });
    await expect(FakeAgent.enrol(fleet.url, fleet.clock, token)).rejects.toThrow('401');
    await expect(FakeAgent.enrol(fleet.url, fleet.clock, 'x'.repeat(40))).rejects.toThrow('401');
    const late = await fleet.fleet.createEnrolmentToken();
    fleet.clock.advance(60 * 60_000 - 1);
    const refused = FakeAgent.enrol(fleet.url, fleet.clock, `${late}x`);
    await expect(refused).rejects.toThrow('USER_UNAUTHORIZED');
    fleet.clock.advance(1);
    await expect(FakeAgent.enrol(fleet.url, fleet.clock, late)).rejects.toThrow('401');
    fleet.clock.advance(-60 * 60_000);

    const stored = await fleet.database.query<{ text: string }>(
      'SELECT host::text || (SELECT string_agg(enrolment_token::text, $1) FROM enrolment_token) AS text FROM host',
      [' '],
    );
    expect(stored[0]?.text).not.toContain(agent.credential);
    expect(stored[0]?.text).not.toContain(token);
    expect((await agent.request('GET', '/poll')).status).toBe(200);
    expect((await fetch(`${fleet.url}/agent/v1/poll`)).status).toBe(401);
    expect((await fetch(`${fleet.url}/agent/v1/poll`, { headers: { authorization: `Bearer ${fleet.token}` } })).status).toBe(401);
  });

  it('answers again when the answer was lost, to the agent that used the token and to nobody else', async () => {
    const token = await fleet.fleet.createEnrolmentToken();
    const retrySecret = 'r'.repeat(43);
    const enrol = (change: object = {}) =>
      FakeAgent.enrol(fleet.url, fleet.clock, token, { hostname: 'lost.example', capacity: 0, retrySecret, ...change });
    // Both tries at once: the first one is still on its way when the agent gives up waiting for it.
    const [first, second] = await Promise.all([enrol(), enrol()]);
    expect([second.hostId, second.credential]).toEqual([first.hostId, first.credential]);
    expect((await first.request('GET', '/poll')).status).toBe(200);
    const other = { retrySecret: 's'.repeat(43) };
    for (const change of [other, { retrySecret: undefined }, { hostname: 'else.example' }, { dataFolder: '/else' }]) {
      await expect(enrol(change)).rejects.toThrow('401');
    }
    fleet.clock.advance(60 * 60_000);
    await expect(enrol()).rejects.toThrow('401');
    fleet.clock.advance(-60 * 60_000);
    // The credential has been replaced since: the old answer would be worth nothing.
    fleet.clock.advance(30_001);
    await fleet.agent({ hostname: 'lost.example', capacity: 0 });
    await expect(enrol()).rejects.toThrow('401');
    const stored = await fleet.database.query<{ text: string }>(
      `SELECT string_agg(enrolment_token::text, ' ') AS text FROM enrolment_token`,
    );
    expect(stored[0]?.text).not.toContain(retrySecret);
  });

  it('knows a host again that lost its credential, and refuses the old one', async () => {
    const first = await fleet.agent({ hostname: 'again.example', capacity: 0 });
    fleet.clock.advance(30_001);
    const second = await fleet.agent({ hostname: 'again.example', capacity: 0 });
    expect(second.hostId).toBe(first.hostId);
    expect((await first.request('GET', '/poll')).status).toBe(401);
    expect((await second.request('GET', '/poll')).status).toBe(200);
  });

  it('gives a host that is heard of to no second machine of the same name', async () => {
    const first = await fleet.agent({ hostname: 'clone.example', capacity: 0 });
    const token = await fleet.fleet.createEnrolmentToken();
    const clone = () => FakeAgent.enrol(fleet.url, fleet.clock, token, { hostname: 'clone.example', capacity: 0 });
    await expect(clone()).rejects.toThrow(/heard of/);
    fleet.clock.advance(20_000);
    await first.poll();
    fleet.clock.advance(20_000);
    await expect(clone()).rejects.toThrow(/heard of/);
    expect((await first.request('GET', '/poll')).status).toBe(200);
    fleet.clock.advance(30_001);
    expect((await clone()).hostId).toBe(first.hostId);
  });

  it('is made through the API by the owner of the organisation only; a host leaves when it has no processes', async () => {
    const { status, body } = await fleet.call('POST', `/orgs/${fleet.owner.orgId}/hosts:enrolmentToken`);
    expect(status).toBe(201);
    const agent = await FakeAgent.enrol(fleet.url, fleet.clock, body.token, { hostname: 'leaving.example', capacity: 0 });
    const token = await fleet.member(await fleet.project(), ['GROUP_OWNER']);
    expect((await fleet.call('GET', `/orgs/${fleet.owner.orgId}/hosts`, { token })).status).toBe(403);
    const listed = (await fleet.call('GET', `/orgs/${fleet.owner.orgId}/hosts`)).body;
    expect(listed.results.find((host: { id: string }) => host.id === agent.hostId)).toMatchObject({
      hostname: 'leaving.example',
      stale: false,
    });
    expect((await fleet.call('DELETE', `/orgs/${fleet.owner.orgId}/hosts/${agent.hostId}`)).status).toBe(204);
    expect((await fleet.call('DELETE', `/orgs/${fleet.owner.orgId}/hosts/${agent.hostId}`)).status).toBe(404);
    expect((await agent.request('GET', '/poll')).status).toBe(401);
  });
});

it('a host does not leave while a cluster is being placed on it', async () => {
  const agent = await fleet.agent({ hostname: 'contended.example', capacity: 3 });
  const leaving = `/orgs/${fleet.owner.orgId}/hosts/${agent.hostId}`;
  let removal: Promise<{ status: number }> | undefined;
  await fleet.database.transaction(async (tx) => {
    // As a placement does: the host is locked, its processes are written, and none of it is committed when the host is to leave.
    await rows(tx, 'SELECT FROM host WHERE id = $1 FOR NO KEY UPDATE', [agent.hostId]);
    const clusterId = newObjectId();
    const projectId = await fleet.project();
    await rows(
      tx,
      `INSERT INTO cluster (id, project_id, name, state, state_since, settings, process_args, created_at, revision)
       VALUES ($1, $2, 'contended', 'IDLE', now(), '{"encryptionAtRestProvider": "NONE"}', '{}', now(), 1)`,
      [clusterId, projectId],
    );
    removal = fleet.call('DELETE', leaving);
    await waitFor(async () => (await fleet.database.query('SELECT FROM pg_locks WHERE NOT granted')).length > 0, {
      describe: () => 'the removal to wait for the placement',
    });
    await rows(
      tx,
      `INSERT INTO process (id, cluster_id, host_id, kind, member_id, priority, votes, arbiter_only, port, extra_arguments, adopted, desired, desired_since,
                            goal, goal_version, created_at)
       VALUES ($1, $2, $3, 'mongod', 0, 1, 1, false, 27017, '[]', false, 'running', now(), '{}', 1, now())`,
      [newObjectId(), clusterId, agent.hostId],
    );
  });
  expect((await removal)?.status).toBe(400);
  expect((await agent.request('POST', '/observations', {})).status).not.toBe(401);
  await fleet.database.query('DELETE FROM process WHERE host_id = $1 RETURNING id', [agent.hostId]);
  expect((await fleet.call('DELETE', leaving)).status).toBe(204);
});

describe('goals', () => {
  it('have versions that only grow; an answer that was lost comes again', async () => {
    const agent = await fleet.agent({ hostname: 'goals.example', capacity: 3 });
    const empty = await agent.poll();
    expect(empty?.goal).toMatchObject({ hostId: agent.hostId, processes: [] });
    await create('versions');
    const lost = await agent.poll({ goalVersion: empty!.goal!.version });
    const again = await agent.poll({ goalVersion: empty!.goal!.version });
    expect(again).toEqual(lost);
    expect(again!.goal!.version).toBeGreaterThan(empty!.goal!.version);
    expect(again!.goal!.processes).toHaveLength(3);
    expect(await agent.poll({ goalVersion: again!.goal!.version })).toBeNull();
    expect((await agent.poll({ goalVersion: 0 }))?.goal?.version).toBe(again!.goal!.version);
    const leaders = again!.goal!.processes.filter((process) => process.replicaSet?.leads);
    expect(leaders).toHaveLength(1);
    expect(leaders[0]?.replicaSet!.members.map((member) => member.host)).toEqual(
      [27017, 27018, 27019].map((port) => `goals.example:${port}`),
    );
  });

  it('jump over the version of an agent that knows a later one, and its report proves nothing before that', async () => {
    const agent = await fleet.agent({ hostname: 'later.example', capacity: 3 });
    const projectId = await create('restored');
    await agent.take();
    await agent.report({ goalVersion: agent.goal!.version + 100 });
    expect((await fleet.cluster(projectId, 'restored')).selfManaged.state).toBe('CREATING');
    const answer = await agent.poll({ goalVersion: 500 });
    expect(answer?.goal?.version).toBe(501);
    expect(answer?.goal?.processes).toHaveLength(3);
    agent.goal = answer!.goal;
    await agent.report();
    expect((await fleet.cluster(projectId, 'restored')).selfManaged.state).toBe('IDLE');
  });

  it('reach a waiting agent at once, end with the wait, and let go of a client that went away', async () => {
    const agent = await fleet.agent({ hostname: 'waiting.example', capacity: 3 });
    await agent.take();
    expect(await agent.poll({ waitSeconds: 1 })).toBeNull();

    const gone = new AbortController();
    const abandoned = agent.poll({ waitSeconds: 30, signal: gone.signal });
    abandoned.catch(() => undefined);
    const waiting = agent.poll({ waitSeconds: 30 });
    gone.abort();
    await expect(abandoned).rejects.toThrow('aborted');
    await create('awaited');
    expect((await waiting)?.goal?.processes).toHaveLength(3);
  });

  it('cannot be reached for another host', async () => {
    const owner = await fleet.agent({ hostname: 'mine.example', capacity: 3 });
    const stranger = await fleet.agent({ hostname: 'stranger.example', capacity: 0 });
    const projectId = await create('mine');
    await owner.sync();
    expect((await fleet.cluster(projectId, 'mine')).selfManaged.state).toBe('IDLE');
    stranger.goal = owner.goal;
    for (const process of owner.processes) stranger.claims.set(process.id, { status: 'failed', pid: null });
    await stranger.report();
    const { selfManaged } = await fleet.cluster(projectId, 'mine');
    expect(selfManaged.processes.map((each: { status: string }) => each.status)).toEqual(['running', 'running', 'running']);
  });
});

describe('reports', () => {
  it('are taken in the order in which they were made, whatever the network does to them', async () => {
    const agent = await fleet.agent({ hostname: 'numbered.example', capacity: 3 });
    const projectId = await create('numbered');
    await agent.take();
    const statuses = async () =>
      (await fleet.cluster(projectId, 'numbered')).selfManaged.processes.map((each: { status: string }) => each.status);
    const says = async (status: 'running' | 'stopped', run: number, sequence: number) => {
      for (const process of agent.processes) agent.claims.set(process.id, { status, pid: status === 'stopped' ? null : 1 });
      await agent.report({ number: { run, sequence } });
      return statuses();
    };
    const running = ['running', 'running', 'running'];
    const stopped = ['stopped', 'stopped', 'stopped'];
    expect(await says('running', 1, 2)).toEqual(running);
    expect(await says('stopped', 1, 1)).toEqual(running);
    expect(await says('stopped', 1, 2)).toEqual(running);
    expect(await says('stopped', 1, 3)).toEqual(stopped);
    // The agent has started again; what its last life still had on the way comes too late.
    expect(await says('running', 2, 1)).toEqual(running);
    expect(await says('stopped', 1, 9)).toEqual(running);
  });
});

describe('tasks', () => {
  it('bring the last lines of a log, and are given out again when the answer was lost', async () => {
    const agent = await fleet.agent({ hostname: 'tasks.example', capacity: 3 });
    const projectId = await create('logs');
    await agent.sync();
    const process = agent.processes.find((each) => each.clusterName === 'logs')!;
    const path = `/groups/${projectId}/clusters/logs/processes/${process.id}:tailLog`;
    const asked = fleet.call('POST', path, { body: { lines: 2 } });
    const given = (await agent.poll({ waitSeconds: 30 }))!;
    expect(given).toMatchObject({ goal: null, tasks: [{ kind: 'tail-log', processId: process.id, lines: 2 }] });
    expect(await agent.poll()).toBeNull();
    fleet.clock.advance(5_000);
    const again = (await agent.poll())!;
    expect(again.tasks).toEqual(given.tasks);
    const result = { taskId: given.tasks[0]!.id, outcome: 'done' as const, error: null, lines: ['one', 'two'] };
    expect((await agent.finish(result)).status).toBe(204);
    expect((await agent.finish({ ...result, lines: ['late'] })).status).toBe(204);
    expect(await asked).toMatchObject({ status: 200, body: { processId: process.id, lines: ['one', 'two'] } });

    const failing = fleet.call('POST', path, { body: {} });
    const next = await waitFor(async () => (await agent.poll())?.tasks[0], { describe: 'the second task' });
    await agent.finish({ taskId: next.id, outcome: 'failed', error: 'no such file', lines: null });
    expect(await failing).toMatchObject({ status: 503, body: { errorCode: 'SERVICE_UNAVAILABLE' } });
    expect((await fleet.call('POST', `/groups/${projectId}/clusters/logs/processes/${'0'.repeat(24)}:tailLog`, { body: {} })).status).toBe(
      404,
    );
    const reader = await fleet.member(projectId, ['GROUP_READ_ONLY']);
    expect((await fleet.call('POST', path, { body: {}, token: reader })).status).toBe(403);
  });
});
