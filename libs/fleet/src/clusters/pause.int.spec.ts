import { afterAll, beforeAll, expect, it } from 'vitest';
import type { FakeAgent } from '../test-support/fake-agent.contract.js';
import { FakeKey, FleetInstallation, replicaSet } from '../test-support/fleet-installation.contract.js';

let fleet: FleetInstallation;
let agent: FakeAgent;
beforeAll(async () => {
  fleet = await FleetInstallation.start('paused clusters');
  agent = await fleet.agent({ capacity: 50 });
});
afterAll(() => fleet?.stop());

async function running(name: string) {
  const project = await fleet.project();
  const key = new FakeKey(fleet, project);
  await key.saved();
  const body = replicaSet(name, { encryptionAtRestProvider: 'AWS' });
  expect((await fleet.call('POST', `/groups/${project}/clusters`, { body })).status).toBe(201);
  const path = `/groups/${project}/clusters/${name}`;
  const settle = (state: string) => fleet.settle(project, name, state, [agent]);
  await settle('IDLE');
  return {
    key,
    path,
    settle,
    get: () => fleet.cluster(project, name),
    patch: (change: object) => fleet.call('PATCH', path, { body: change }),
    desired: () => agent.processes.filter((each) => each.clusterName === name).map((each) => [each.desired, each.deleteData]),
  };
}

const stopped = [1, 2, 3].map(() => ['stopped', false]);
const started = [1, 2, 3].map(() => ['running', false]);

it('a cluster is paused with its data kept, takes no change but being resumed, and runs again then', async () => {
  const { patch, settle, get, desired, path } = await running('resting');
  expect((await patch({ paused: true, backupEnabled: true })).body).toMatchObject({
    error: 409,
    errorCode: 'CANNOT_UPDATE_AND_PAUSE_CLUSTER',
  });
  const pausing = await patch({ paused: true });
  expect(pausing).toMatchObject({ status: 200, body: { paused: true, stateName: 'UPDATING' } });
  const paused = await settle('IDLE');
  expect(paused).toMatchObject({ paused: true, stateName: 'IDLE', selfManaged: { disabledReason: null } });
  expect(paused.selfManaged.processes.map((each: { status: string }) => each.status)).toEqual(['stopped', 'stopped', 'stopped']);
  expect(desired()).toEqual(stopped);
  expect(agent.processes[0]?.reason).toBe('The cluster is paused.');

  const refused = { status: 409, body: { errorCode: 'CANNOT_UPDATE_PAUSED_CLUSTER' } };
  expect(await patch({ backupEnabled: true })).toMatchObject(refused);
  expect(await patch({ paused: false, backupEnabled: true })).toMatchObject(refused);
  expect(await fleet.call('PATCH', `${path}/processArgs`, { body: { noTableScan: true } })).toMatchObject(refused);
  expect((await patch({ paused: true })).body.errorCode).toBe('CLUSTER_ALREADY_PAUSED');
  // What is sent back as it was read asks for nothing; nor does the empty body with which the Atlas CLI waits.
  expect((await patch(await get())).status).toBe(200);
  expect((await patch({})).status).toBe(200);

  expect((await patch({ paused: false })).body).toMatchObject({ paused: false, stateName: 'UPDATING' });
  expect(await settle('IDLE')).toMatchObject({ paused: false });
  expect(desired()).toEqual(started);
  expect((await fleet.clusterEvents('resting')).filter((name) => name !== 'updated')).toEqual(['created']);
});

it('a cluster that was paused is not started by a key that comes back, and is resumed only with a valid one', async () => {
  const { key, patch, settle, get, desired } = await running('both');
  await patch({ paused: true });
  await settle('IDLE');
  await key.invalidated();
  await settle('DISABLED');
  await key.validated();
  await settle('IDLE');
  expect(desired()).toEqual(stopped);

  await key.invalidated();
  await settle('DISABLED');
  expect((await patch({ paused: false })).body).toMatchObject({ paused: false, selfManaged: { state: 'DISABLED', pendingChanges: null } });
  await agent.take();
  expect(desired()).toEqual(stopped);
  await key.validated();
  await settle('IDLE');
  expect(desired()).toEqual(started);

  await key.invalidated();
  await settle('DISABLED');
  await patch({ backupEnabled: true });
  expect((await patch({ paused: true })).body.errorCode).toBe('CANNOT_PAUSE_CLUSTER_WITH_PENDING_CHANGES');
  expect((await get()).paused).toBe(false);
});

it('a cluster is not paused while it changes, and may turn round while it is being paused', async () => {
  const { patch, settle, desired } = await running('turning');
  await patch({ selfManaged: { processes: (await settle('IDLE')).selfManaged.processes.slice(0, 2) } });
  expect((await patch({ paused: true })).body.errorCode).toBe('CANNOT_PAUSE_CLUSTER_WITH_PENDING_CHANGES');
  await settle('IDLE');
  await patch({ paused: true });
  await agent.take();
  await patch({ paused: false });
  await settle('IDLE');
  expect(desired()).toEqual(started.slice(0, 2));
});
