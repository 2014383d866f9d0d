// Where things lie in a store. One place, so that the reader of docs/reference/snapshot-format.md finds each line of it again.

/** All objects of an epoch begin so. */
export const epochPrefix = (epochId: string): string => `epochs/${epochId}/`;

/** The epoch's header: whose it is and its data key, wrapped by the customer key. Written first, once. */
export const epochHeaderKey = (epochId: string): string => `${epochPrefix(epochId)}epoch.json`;

/** All blocks of an epoch. */
export const blocksPrefix = (epochId: string): string => `${epochPrefix(epochId)}blocks/`;

/** A block by its name. The first byte is a folder, so that no folder of a file system gets too large. */
export function blockKey(epochId: string, name: Uint8Array): string {
  const hex = Buffer.from(name.buffer, name.byteOffset, name.length).toString('hex');
  return `${blocksPrefix(epochId)}${hex.slice(0, 2)}/${hex}`;
}

/** The name of a block from its key; null when the key is of something else. */
export function blockNameOf(epochId: string, key: string): Buffer | null {
  const match = /^([0-9a-f]{2})\/(\1[0-9a-f]{62})$/.exec(
    key.startsWith(blocksPrefix(epochId)) ? key.slice(blocksPrefix(epochId).length) : '',
  );
  return match === null ? null : Buffer.from(match[2]!, 'hex');
}

/** All manifests of an epoch. */
export const manifestsPrefix = (epochId: string): string => `${epochPrefix(epochId)}manifests/`;

/** A snapshot's manifest: written last; without it there is no snapshot. */
export const manifestKey = (epochId: string, snapshotId: string): string => `${manifestsPrefix(epochId)}${snapshotId}`;

/** Leases of those who write snapshots into the epoch now. */
export const writersPrefix = (epochId: string): string => `${epochPrefix(epochId)}writers/`;

/** The lease of one writer. */
export const writerKey = (epochId: string, snapshotId: string): string => `${writersPrefix(epochId)}${snapshotId}`;

/** The lease of the collector that sweeps the epoch now. */
export const collectorKey = (epochId: string): string => `${epochPrefix(epochId)}collector`;
