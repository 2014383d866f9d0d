import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { KeyUsage, SnapshotView } from '@atrest/contracts';
import { waitFor } from '@atrest/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestInstallation } from './test-support/installation.contract.js';
import type { TestProject } from './test-support/project.contract.js';

const LIMIT_MS = 300_000;
/** Nothing compresses it, so that it stands in the data files as it was written. */
const MARKER = 'Qm4xZ7-wR9kT2-vB6nH3';
let atrest: TestInstallation;
let project: TestProject;

beforeAll(async () => {
  atrest = await TestInstallation.start('snapshots', { ATREST_AGENT: 'true' });
  project = await atrest.project('Backed-up');
  await project.createPlaced('orders', 3);
  await project.createPlaced('press', 1, 'NONE');
  for (const name of ['orders', 'press']) await project.untilClusterIs(name, 'IDLE');
  await project.write('orders', 1, { marker: MARKER });
}, LIMIT_MS);

afterAll(() => atrest.close(), LIMIT_MS);

/** Files below a folder of the installation, by path. */
async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(join(atrest.folder, folder), { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

async function holding(folder: string, text: string): Promise<string[]> {
  const found: string[] = [];
  for (const path of await filesIn(folder)) if ((await readFile(path)).includes(text)) found.push(path);
  return found;
}

describe('snapshots of a running cluster', { timeout: LIMIT_MS }, () => {
  let taken: SnapshotView;

  it('F53 one is encrypted before it leaves the host and proven afterwards; the cluster runs on', async () => {
    const pids = (await project.cluster('orders')).selfManaged.processes.map(({ pid }) => pid);
    taken = await project.takeSnapshot('orders');
    expect(taken).toMatchObject({
      status: 'completed',
      snapshotType: 'onDemand',
      masterKeyUUID: expect.any(String),
      selfManaged: { encryptionKeyId: expect.stringContaining(project.keyId), restorable: { kind: 'YES' }, failure: null },
    });
    expect(taken.selfManaged.proof?.blocksSampled).toBeGreaterThan(0);
    expect(await holding('data', MARKER)).not.toEqual([]);
    expect(await holding('snapshots', MARKER)).toEqual([]);
    expect((await project.cluster('orders')).selfManaged.processes.map(({ pid }) => pid)).toEqual(pids);
    await project.write('orders', 2);
  });

  it('the next one stores only what is new, and a cluster without a key says so', async () => {
    const next = await project.takeSnapshot('orders');
    expect(next.selfManaged.storedBytes).toBeLessThan(taken.selfManaged.storedBytes!);
    const plain = await project.takeSnapshot('press');
    expect(plain).toMatchObject({ status: 'completed', selfManaged: { encryptionKeyId: 'Not enabled', provider: 'NONE' } });
    expect(plain).not.toHaveProperty('masterKeyUUID');
    const { results } = await project.get<{ results: SnapshotView[] }>('/clusters/orders/backup/snapshots');
    expect(results.map(({ id }) => id)).toEqual([next.id, taken.id]);
  });

  it('F52 while the key is disabled nothing can be restored or taken, and nothing is lost; what is deleted needs its key no more', async () => {
    await project.key('disable');
    await project.untilClusterIs('orders', 'DISABLED');
    const restorable = async () =>
      (await project.get<SnapshotView>(`/clusters/orders/backup/snapshots/${taken.id}`)).selfManaged.restorable;
    await waitFor(async () => (await restorable()).kind === 'NOT_NOW', { describe: 'the snapshot not to be restorable' });
    await project.key('enable');
    await project.untilClusterIs('orders', 'IDLE');
    await waitFor(async () => (await restorable()).kind === 'YES', { describe: 'the snapshot to be restorable again' });

    await project.delete(`/clusters/orders/backup/snapshots/${taken.id}`);
    const usage = () => project.get<KeyUsage>(`/encryptionKeys/${taken.masterKeyUUID}/usage`);
    await waitFor(async () => (await usage()).snapshots.count === 1, { describe: 'one snapshot to be left under the key' });
    expect((await project.mails()).filter(({ subject }) => subject.includes('snapshot'))).toEqual([]);
  });
});
