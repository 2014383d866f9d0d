import type { SnapshotView } from '@atrest/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestInstallation } from './test-support/installation.contract.js';
import { serversUnderTest } from './test-support/machine.contract.js';
import type { TestProject } from './test-support/project.contract.js';

const LIMIT_MS = 300_000;
let atrest: TestInstallation;
let project: TestProject;

beforeAll(async () => {
  atrest = await TestInstallation.start('sharded-snapshot', { ATREST_AGENT: 'true' });
  project = await atrest.project('Sharded-and-backed-up');
}, LIMIT_MS);

afterAll(() => atrest.close(), LIMIT_MS);

describe('a snapshot of a sharded cluster', { timeout: LIMIT_MS }, () => {
  it('is taken in parts by all services together, under the customer key, and its next one stores only what is new', async (context) => {
    if ((await serversUnderTest()).mongos === null) context.skip('set MONGOS_BIN to run this against a real server');
    await project.createPlaced('world', 1, 'AWS', 2);
    await project.untilClusterIs('world', 'IDLE');
    await project.write('world', 1);
    const taken = await project.takeSnapshot('world');
    expect(taken.selfManaged.failure).toBeNull();
    expect(taken).toMatchObject({
      status: 'completed',
      type: 'shardedCluster',
      masterKeyUUID: expect.any(String),
      selfManaged: { method: 'backupCursor', cut: { seconds: expect.any(Number) }, restorable: { kind: 'YES' } },
    });
    expect(taken.selfManaged.parts?.map(({ role, shardName }) => [role, shardName === undefined])).toEqual([
      ['config', true],
      ['shard', false],
      ['shard', false],
    ]);
    const next = await project.takeSnapshot('world');
    expect(next.selfManaged.storedBytes).toBeLessThan(taken.selfManaged.storedBytes!);
    const { results } = await project.get<{ results: SnapshotView[] }>('/clusters/world/backup/snapshots/shardedClusters');
    expect(results.map(({ id }) => id)).toEqual([next.id, taken.id]);
    await project.write('world', 2);
  });
});
