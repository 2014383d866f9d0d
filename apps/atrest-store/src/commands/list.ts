import type { ObjectStore } from '@atrest/snapshot-store';
import { readEpochs, readLabels } from '../epochs.js';
import type { Output } from '../output.js';

/** What lies in the store, and which key opens it. Needs no key. */
export async function list(store: ObjectStore, out: Output): Promise<void> {
  let snapshots = 0;
  for (const epoch of await readEpochs(store, out.problem)) {
    out.line(`epoch ${epoch.epochId}  cluster ${epoch.clusterId}  project ${epoch.projectId}  key ${epoch.encryptionKeyId}`);
    for (const { snapshotId, completedAt, labels } of await readLabels(store, epoch.epochId, out.problem)) {
      const said = Object.entries(labels).map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
      out.line(`  ${snapshotId}  ${completedAt}  ${said.join(' ')}`);
      snapshots += 1;
    }
  }
  if (snapshots === 0) out.line(`The ${store.description} holds no snapshots.`);
}
