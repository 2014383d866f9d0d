import { randomBytes } from 'node:crypto';
import { NameSet } from '../collect/name-set.js';
import { ObjectDamagedError, ObjectMissingError, SnapshotCancelledError, type SnapshotStoreError } from '../errors.js';
import { BLOCK_BYTES, BlockRefusedError, NAME_BYTES, openBlock } from '../format/block.js';
import { deriveEpochKeys, KEY_BYTES, type EpochKeys } from '../format/keys.js';
import { blockKey } from '../format/layout.js';
import { fileListBlocks, readManifest, type Manifest } from '../format/manifest.js';
import type { ObjectStore } from '../object-store/object-store.js';
import { BlockPool } from '../write/block-pool.js';
import { isZeroName } from '../write/parent-files.js';
import { Slots } from '../write/slots.js';
import { blockKeysOf, readFileList } from './file-list-reader.js';

export interface VerifyOptions {
  readonly store: ObjectStore;
  readonly keys: EpochKeys;
  readonly snapshotId: string;
  /** Share of the blocks to read, more than 0 and at most 1. Default 1: all. */
  readonly share?: number;
  /** In [0, 1); decides which blocks a share takes. */
  readonly random?: () => number;
  readonly threads?: number;
  readonly signal: AbortSignal;
}

/** What a verification found. */
export interface Verification {
  readonly manifest: Manifest;
  /** Different blocks that were read, authenticated and compared with their names. */
  readonly blocksRead: number;
  /** Bytes of content they hold. */
  readonly bytesRead: number;
  /** What is wrong, at most {@link MAX_PROBLEMS}; empty: nothing. */
  readonly problems: readonly SnapshotStoreError[];
}

/** More damage than this is one finding: the snapshot is lost. */
export const MAX_PROBLEMS = 100;

/**
 * Reads blocks of a snapshot back: each must be there, be authentic and have the content its name stands for. Damage is reported, not
 * thrown, so that one bad block does not hide the others.
 *
 * @throws ObjectMissingError, ObjectDamagedError when the manifest or its list of files cannot be read; the store's errors.
 */
export async function verifySnapshot(o: VerifyOptions): Promise<Verification> {
  const manifest = await readManifest(o.store, o.keys, o.snapshotId);
  const threads = o.threads ?? 2;
  const pool = new BlockPool(o.keys, threads);
  const slots = new Slots(2 * threads + 4);
  const seen = new NameSet();
  const problems: SnapshotStoreError[] = [];
  const pending = new Set<Promise<void>>();
  let failure: { readonly error: unknown } | undefined;
  let [blocksRead, bytesRead] = [0, 0];

  const check = async (name: Buffer, length: number): Promise<void> => {
    const key = blockKey(o.keys.epochId, name);
    const sealed = await o.store.get(key);
    if (sealed === null) {
      problems.push(new ObjectMissingError(key));
      return;
    }
    const copy = new Uint8Array(sealed).buffer;
    const result = await pool.run({ kind: 'open', name, sealed: copy, sealedLength: sealed.length, length, target: null });
    if (result.kind === 'refused') problems.push(new ObjectDamagedError(key, result.reason));
    blocksRead += 1;
    bytesRead += length;
  };

  try {
    for await (const { file, at, names } of readFileList(o.store, o.keys, manifest)) {
      for (let index = 0; index * NAME_BYTES < names.length; index += 1) {
        if (o.signal.aborted) throw new SnapshotCancelledError();
        if (failure !== undefined) throw failure.error;
        if (problems.length >= MAX_PROBLEMS) return { manifest, blocksRead, bytesRead, problems: problems.slice(0, MAX_PROBLEMS) };
        const name = names.subarray(index * NAME_BYTES, (index + 1) * NAME_BYTES);
        if (isZeroName(name) || !seen.add(name)) continue;
        if (o.share !== undefined && (o.random ?? Math.random)() >= o.share) continue;
        await slots.take();
        const length = Math.min(BLOCK_BYTES, file.size - (at + index) * BLOCK_BYTES);
        const done = check(Buffer.from(name), length)
          .catch((error: unknown) => void (failure ??= { error }))
          .finally(() => {
            slots.give();
            pending.delete(done);
          });
        pending.add(done);
      }
    }
    await Promise.all(pending);
    if (failure !== undefined) throw (failure as { readonly error: unknown }).error;
    return { manifest, blocksRead, bytesRead, problems: problems.slice(0, MAX_PROBLEMS) };
  } finally {
    await Promise.all(pending);
    await pool.close();
  }
}

/** What a proof of encryption looked at. */
export interface EncryptionProof {
  readonly blocksSampled: number;
}

/**
 * Proves on what lies in the store, not on what we meant to put there, that a snapshot is encrypted (F53): sampled blocks do not
 * open under another key, do open under the epoch's, and hold no run of their content in clear.
 *
 * @throws ObjectDamagedError when one is not encrypted; what reading throws.
 */
export async function proveEncrypted(store: ObjectStore, keys: EpochKeys, manifest: Manifest, sample: number): Promise<EncryptionProof> {
  const wrong = deriveEpochKeys(keys.epochId, randomBytes(KEY_BYTES));
  const chosen = await sampleNames(store, keys, manifest, sample);
  for (const name of chosen) {
    const key = blockKey(keys.epochId, name);
    const sealed = await store.get(key);
    if (sealed === null) throw new ObjectMissingError(key);
    if (opens(wrong, name, sealed) !== null) throw new ObjectDamagedError(key, 'it opens without its key');
    const content = opens(keys, name, sealed);
    if (content === null) throw new ObjectDamagedError(key, 'it does not open with its key');
    // 32 bytes that are no run of one value: by chance they stand in the ciphertext once in 2^230 blocks.
    const run = content.subarray(0, 32);
    if (run.length === 32 && new Set(run).size > 8 && sealed.includes(run))
      throw new ObjectDamagedError(key, 'it holds its content in clear');
  }
  return { blocksSampled: chosen.length };
}

function opens(keys: EpochKeys, name: Buffer, sealed: Buffer): Buffer | null {
  try {
    return openBlock(blockKeysOf(keys), name, sealed);
  } catch (error) {
    if (error instanceof BlockRefusedError) return null;
    throw error;
  }
}

/** Chooses evenly among all blocks in one pass (reservoir sampling), the list of files included: it must not be in clear either. */
async function sampleNames(store: ObjectStore, keys: EpochKeys, manifest: Manifest, sample: number): Promise<Buffer[]> {
  const chosen: Buffer[] = [];
  let seen = 0;
  const offer = (name: Buffer): void => {
    seen += 1;
    const place = chosen.length < sample ? chosen.length : Math.floor(Math.random() * seen);
    if (place < sample) chosen[place] = Buffer.from(name);
  };
  for (const name of fileListBlocks(manifest)) offer(name);
  for await (const { names } of readFileList(store, keys, manifest)) {
    for (let at = 0; at < names.length; at += NAME_BYTES) {
      const name = names.subarray(at, at + NAME_BYTES);
      if (!isZeroName(name)) offer(name);
    }
  }
  return chosen;
}
