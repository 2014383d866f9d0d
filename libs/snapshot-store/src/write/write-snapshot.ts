import type { Clock } from '@atrest/platform-time';
import type { core } from 'zod';
import { DEFAULT_LEASE_TIMES, WriterLease, type LeaseTimes } from '../collect/leases.js';
import { LeaseLostError, ObjectMissingError, SnapshotCancelledError, TooManyFilesError } from '../errors.js';
import { readEpochHeader, type OpenEpoch } from '../format/epoch.js';
import { manifestKey } from '../format/layout.js';
import { readManifest, sealManifest, type Manifest } from '../format/manifest.js';
import { comparePaths } from '../format/paths.js';
import type { ObjectStore } from '../object-store/object-store.js';
import { readFileList } from '../read/file-list-reader.js';
import { BlockPool } from './block-pool.js';
import { ByteRate } from './byte-rate.js';
import { FileCopier } from './file-copier.js';
import { FileListWriter } from './file-list-writer.js';
import { ParentFiles } from './parent-files.js';
import { Slots } from './slots.js';
import type { SourceFile } from './source-file.js';

/** Cloud Manager's limit for one member. */
export const MAX_FILES = 100_000;

/** How a snapshot is written. */
export interface WriteSnapshotOptions {
  readonly store: ObjectStore;
  readonly epoch: OpenEpoch;
  /** 24 hexadecimal digits. */
  readonly snapshotId: string;
  readonly files: readonly SourceFile[];
  /** An earlier snapshot of the same epoch whose blocks need not be stored again; it must not be deleted meanwhile. */
  readonly parentId?: string | null;
  /** Whose data path it is; files of the same member that nobody touched since the parent are taken over unread. */
  readonly member?: string | null;
  /** Can be read without the key. */
  readonly labels: Readonly<Record<string, core.util.JSONType>>;
  /** What the taker recorded of the server; sealed. Asked for when all files are copied: by then the end of the oplog is known. */
  readonly source: () => Promise<Readonly<Record<string, core.util.JSONType>>>;
  /** Keep blocks compressed where that saves at least a tenth. Default: no; WiredTiger compresses already. */
  readonly compress?: boolean;
  /** Threads that read, hash and encrypt. Default 2. */
  readonly threads?: number;
  /** Blocks that are uploaded at the same time. Default 4. Memory: about 4 MiB for each thread and upload. */
  readonly uploads?: number;
  /** Bytes per second read from the source at most; null: no limit. */
  readonly readLimit?: number | null;
  /** Bytes per second sent to the store at most; null: no limit. */
  readonly uploadLimit?: number | null;
  readonly maxFiles?: number;
  readonly leaseTimes?: LeaseTimes;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: SnapshotProgress) => void;
}

/** How far a snapshot is. Bytes of the source, but for `storedBytes`. */
export interface SnapshotProgress {
  readonly files: number;
  readonly filesTotal: number;
  readonly bytes: number;
  readonly bytesTotal: number;
  /** Added to the store so far. */
  readonly storedBytes: number;
}

/**
 * Copies files into the store as one snapshot. The manifest is written last: when this rejects, there is no snapshot, and what was
 * stored for it is garbage that the collector sweeps.
 *
 * @throws SnapshotCancelledError when `signal` was aborted; every other {@link SnapshotStoreError}: nothing of the snapshot counts.
 */
export async function writeSnapshot(o: WriteSnapshotOptions): Promise<Manifest> {
  const limit = o.maxFiles ?? MAX_FILES;
  if (o.files.length > limit) throw new TooManyFilesError(o.files.length, limit);
  if (o.signal.aborted) throw new SnapshotCancelledError();
  const { epochId } = o.epoch.keys;
  try {
    const lease = await WriterLease.acquire(o.store, epochId, o.snapshotId, o.leaseTimes ?? DEFAULT_LEASE_TIMES, o.signal);
    try {
      await assertSameEpoch(o);
      return await copyAll(o, lease, AbortSignal.any([o.signal, lease.signal]));
    } finally {
      await lease.release();
    }
  } catch (error) {
    // Whatever the abort broke on its way, the caller asked for it.
    throw o.signal.aborted ? new SnapshotCancelledError() : error;
  }
}

/**
 * The epoch may have been deleted since it was opened, because no snapshot was left in it: a manifest without its header could not be read by anybody.
 *
 * @throws LeaseLostError
 */
async function assertSameEpoch({ store, epoch }: WriteSnapshotOptions): Promise<void> {
  const { epochId, proof } = epoch.header;
  const present = await readEpochHeader(store, epochId).catch((error: unknown) => {
    if (error instanceof ObjectMissingError) return null;
    throw error;
  });
  if (present?.proof !== proof) throw new LeaseLostError('The snapshot is given up: its epoch was deleted meanwhile. Take it again.');
}

async function copyAll(o: WriteSnapshotOptions, lease: WriterLease, signal: AbortSignal): Promise<Manifest> {
  const { store, epoch } = o;
  const { keys } = epoch;
  const [threads, uploads] = [o.threads ?? 2, o.uploads ?? 4];
  const pool = new BlockPool(keys, threads);
  const list = new FileListWriter(store, keys);
  const parent = o.parentId == null ? null : await readManifest(store, keys, o.parentId);
  const parentFiles = parent === null ? null : new ParentFiles(readFileList(store, keys, parent));
  const rate = (bytesPerSecond: number | null | undefined): ByteRate | null =>
    bytesPerSecond == null ? null : new ByteRate(o.clock, bytesPerSecond);
  const copier = new FileCopier({
    store,
    keys,
    pool,
    list,
    parentFiles,
    member: o.member ?? null,
    compress: o.compress ?? false,
    // One job in hand and one waiting for each thread, beside the uploads.
    slots: new Slots(2 * threads + uploads),
    readRate: rate(o.readLimit),
    uploadRate: rate(o.uploadLimit),
    clock: o.clock,
    signal,
  });
  const report = (): void =>
    o.onProgress?.({ ...copier.progress, filesTotal: o.files.length, bytesTotal: Math.max(bytesTotal, copier.progress.bytes) });
  const bytesTotal = o.files.reduce((sum, file) => sum + (file.size ?? 0), 0);
  copier.onChange = report;
  try {
    for (const file of [...o.files].sort((a, b) => comparePaths(a.path, b.path))) {
      signal.throwIfAborted();
      await copier.copy(file);
    }
    await copier.finish();
    signal.throwIfAborted();
    const fileList = await list.finish();
    const source = await o.source();
    const storedBytes = copier.progress.storedBytes + list.storedBytes;
    const manifest: Manifest = {
      format: 1,
      snapshotId: o.snapshotId,
      epochId: keys.epochId,
      completedAt: o.clock.now().toISOString(),
      labels: { ...o.labels },
      fileList,
      files: copier.progress.files,
      bytes: copier.progress.bytes,
      blocks: list.blocks,
      storedBytes,
      source: { ...source },
    };
    // Everything the manifest names must survive a loss of power before the manifest does.
    await store.flush();
    await lease.assertHeld();
    await assertSameEpoch(o);
    signal.throwIfAborted();
    await store.put(manifestKey(keys.epochId, o.snapshotId), sealManifest(keys, manifest));
    await store.flush();
    return await readManifest(store, keys, o.snapshotId);
  } finally {
    await copier.abandon();
    await pool.close();
    await parentFiles?.close();
  }
}
