// One snapshot or one restore by libs/snapshot-store, as the agent makes them: node atrest.mjs <init|take|restore> <store> <data> <snapshot> [<parent>]
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '@atrest/platform-time';
import { beginEpoch, FolderObjectStore, openEpoch, readManifest, restoreFiles, writeSnapshot } from '@atrest/snapshot-store';

const [command, storeFolder, data, snapshotId, parentId] = process.argv.slice(2);
const owner = {
  epochId: '65f0c0ffee65f0c0ffee0001',
  projectId: '65f0c0ffee65f0c0ffee0002',
  clusterId: '65f0c0ffee65f0c0ffee0003',
  encryptionKeyId: 'benchmark',
};
// A customer key would be one request; it is not what is measured.
const wrapper = {
  wrap: async (dataKey) => ({ dataKey: Buffer.from(dataKey).toString('base64') }),
  unwrap: async ({ dataKey }) => Buffer.from(dataKey, 'base64'),
};
const { signal } = new AbortController();
const store = await FolderObjectStore.open(storeFolder, new Date());
if (command === 'init') {
  await beginEpoch(store, owner, wrapper, new Date());
} else {
  const epoch = await openEpoch(store, owner.epochId, wrapper);
  if (command === 'take') {
    const files = readdirSync(data, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .map((absolutePath) => ({ path: absolutePath.slice(data.length + 1), absolutePath, size: null }));
    const common = { store, epoch, snapshotId, files, labels: {}, source: async () => ({}), clock: systemClock, signal };
    await writeSnapshot({ ...common, member: 'benchmark', parentId: parentId ?? null });
  } else {
    await restoreFiles({ store, keys: epoch.keys, manifest: await readManifest(store, epoch.keys, snapshotId), target: data, signal });
  }
}
await store.close();
