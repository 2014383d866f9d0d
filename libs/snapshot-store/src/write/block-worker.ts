// The thread that reads, names and seals blocks (and the other way round). It is loaded straight from the source in tests: erasable TypeScript
// only. All its I/O is synchronous: a thread does one block at a time, and the threads overlap.
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import {
  BLOCK_BYTES,
  BLOCK_OVERHEAD_BYTES,
  BlockRefusedError,
  nameOfBlock,
  openBlock,
  release,
  sealBlock,
  type BlockKeys,
} from '../format/block.ts';

/** What a thread is asked to do. */
export type BlockJob =
  | {
      readonly kind: 'seal';
      readonly path: string;
      readonly position: number;
      readonly length: number;
      /** The name the same place had in an earlier snapshot: when it still fits, nothing needs to be sealed. */
      readonly knownName: Uint8Array | null;
      readonly compress: boolean;
      readonly scratch: ArrayBuffer | null;
    }
  | {
      readonly kind: 'open';
      readonly name: Uint8Array;
      readonly sealed: ArrayBuffer;
      readonly sealedLength: number;
      /** Bytes the content must have. */
      readonly length: number;
      /** Where to write the content; null to prove only that it opens and has its name. */
      readonly target: { readonly path: string; readonly position: number } | null;
    };

/** What came of it. */
export type BlockResult =
  | { readonly kind: 'zeros' }
  | { readonly kind: 'known' }
  | { readonly kind: 'sealed'; readonly name: Uint8Array; readonly sealed: ArrayBuffer; readonly sealedLength: number }
  | { readonly kind: 'opened' }
  /** `short`: the file ends before the block does. `refused`: the block does not open. `failed`: a system call failed. */
  | { readonly kind: 'short' }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'failed'; readonly code: string };

export interface BlockRequest {
  readonly id: number;
  readonly job: BlockJob;
}

export interface BlockReply {
  readonly id: number;
  readonly result: BlockResult;
  /** The scratch memory of the job where nothing was sealed into it: left here, it would wait for this thread's garbage collection. */
  readonly unused: ArrayBuffer | null;
}

/** Below this, memory is cheaper than carrying a whole block's buffer around. */
const REUSE_ABOVE_BYTES = 256 * 1024;

const keys = workerData as BlockKeys;
const content = Buffer.allocUnsafeSlow(BLOCK_BYTES);
const zeros = Buffer.alloc(BLOCK_BYTES);

/** The file at hand stays open: its blocks come one after the other. */
let current: { path: string; flags: 'r' | 'r+'; descriptor: number } | undefined;

function descriptorOf(path: string, flags: 'r' | 'r+'): number {
  if (current?.path === path && current.flags === flags) return current.descriptor;
  if (current !== undefined) closeSync(current.descriptor);
  current = undefined;
  current = { path, flags, descriptor: openSync(path, flags) };
  return current.descriptor;
}

function seal(job: Extract<BlockJob, { kind: 'seal' }>): BlockResult {
  const descriptor = descriptorOf(job.path, 'r');
  let read = 0;
  while (read < job.length) {
    const more = readSync(descriptor, content, read, job.length - read, job.position + read);
    if (more === 0) return { kind: 'short' };
    read += more;
  }
  const bytes = content.subarray(0, job.length);
  if (bytes.equals(zeros.subarray(0, job.length))) return { kind: 'zeros' };
  const name = nameOfBlock(keys, bytes);
  if (job.knownName !== null && name.equals(job.knownName)) return { kind: 'known' };
  const wanted = BLOCK_BYTES + BLOCK_OVERHEAD_BYTES;
  const scratch = job.length < REUSE_ABOVE_BYTES ? undefined : job.scratch?.byteLength === wanted ? job.scratch : new ArrayBuffer(wanted);
  const sealed = sealBlock(keys, name, bytes, scratch === undefined ? { compress: job.compress } : { compress: job.compress, scratch });
  return { kind: 'sealed', name, sealed: sealed.buffer as ArrayBuffer, sealedLength: sealed.length };
}

function open(job: Extract<BlockJob, { kind: 'open' }>): BlockResult {
  const sealed = Buffer.from(job.sealed, 0, job.sealedLength);
  const bytes = openBlock(keys, job.name, sealed);
  release(sealed);
  try {
    return use(job, bytes);
  } finally {
    release(bytes);
  }
}

/** Writes the content where it belongs, or only compares it with its name. */
function use(job: Extract<BlockJob, { kind: 'open' }>, bytes: Buffer): BlockResult {
  if (bytes.length !== job.length) return { kind: 'refused', reason: `it has ${bytes.length} bytes where the file has ${job.length}` };
  if (job.target === null) {
    return nameOfBlock(keys, bytes).equals(job.name) ? { kind: 'opened' } : { kind: 'refused', reason: 'its content has another name' };
  }
  const descriptor = descriptorOf(job.target.path, 'r+');
  for (let written = 0; written < bytes.length;) {
    written += writeSync(descriptor, bytes, written, bytes.length - written, job.target.position + written);
  }
  return { kind: 'opened' };
}

function resultOf(job: BlockJob): BlockResult {
  try {
    return job.kind === 'seal' ? seal(job) : open(job);
  } catch (error) {
    if (error instanceof BlockRefusedError) return { kind: 'refused', reason: error.reason };
    const code = (error as NodeJS.ErrnoException).code;
    if (code === undefined) throw error;
    return { kind: 'failed', code };
  }
}

parentPort!.on('message', ({ id, job }: BlockRequest) => {
  const result = resultOf(job);
  const sealed = result.kind === 'sealed' ? result.sealed : null;
  const scratch = job.kind === 'seal' ? job.scratch : null;
  const unused = scratch === sealed ? null : scratch;
  const reply: BlockReply = { id, result, unused };
  parentPort!.postMessage(
    reply,
    [sealed, unused].filter((buffer) => buffer !== null),
  );
});
