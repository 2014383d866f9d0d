import { Worker } from 'node:worker_threads';
import { BLOCK_BYTES, BLOCK_OVERHEAD_BYTES } from '../format/block.js';
import type { EpochKeys } from '../format/keys.js';
import type { BlockJob, BlockReply, BlockRequest, BlockResult } from './block-worker.js';

const WORKER = new URL(import.meta.url.endsWith('.ts') ? './block-worker.ts' : './block-worker.js', import.meta.url);

/** Jobs that wait in a thread: one while it works on another, so that it never waits for us. */
const JOBS_PER_THREAD = 2;

interface Thread {
  readonly worker: Worker;
  readonly running: Map<number, { resolve: (result: BlockResult) => void; reject: (error: Error) => void }>;
}

/**
 * Threads that seal and open the blocks of one epoch. It takes whatever it is given and never refuses; how much is under way, and
 * so how much memory, is the caller's decision.
 */
export class BlockPool {
  readonly #threads: Thread[];
  readonly #waiting: { job: BlockJob; resolve: (result: BlockResult) => void; reject: (error: Error) => void }[] = [];
  readonly #spare: ArrayBuffer[] = [];
  #nextId = 0;
  #failure: Error | undefined;

  constructor(keys: EpochKeys, threads: number) {
    const workerData = { epochId: Buffer.from(keys.epochId, 'hex'), name: keys.name, block: keys.block };
    this.#threads = Array.from({ length: threads }, () => this.#start(new Worker(WORKER, { workerData })));
  }

  #start(worker: Worker): Thread {
    const thread: Thread = { worker, running: new Map() };
    worker.on('message', ({ id, result, unused }: BlockReply) => {
      if (unused !== null) this.recycle(unused);
      thread.running.get(id)?.resolve(result);
      thread.running.delete(id);
      this.#dispatch();
    });
    worker.on('error', (error) => this.#fail(error instanceof Error ? error : new Error(String(error))));
    worker.on('exit', (code) => this.#fail(new Error(`a block thread ended with code ${code}`)));
    return thread;
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    const lost = [...this.#waiting.splice(0), ...this.#threads.flatMap((thread) => [...thread.running.values()])];
    for (const thread of this.#threads) thread.running.clear();
    for (const { reject } of lost) reject(this.#failure);
  }

  /** Rejects only when a thread died: everything else is a result. */
  run(job: BlockJob): Promise<BlockResult> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ job, resolve, reject });
      this.#dispatch();
    });
  }

  #dispatch(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const thread = this.#threads.reduce((least, one) => (one.running.size < least.running.size ? one : least));
      if (thread.running.size >= JOBS_PER_THREAD) return;
      this.#waiting.shift();
      const id = this.#nextId++;
      thread.running.set(id, next);
      const scratch = next.job.kind === 'seal' ? (this.#spare.pop() ?? null) : null;
      const job: BlockJob = next.job.kind === 'seal' ? { ...next.job, scratch } : next.job;
      const moved = job.kind === 'seal' ? (scratch === null ? [] : [scratch]) : [job.sealed];
      const request: BlockRequest = { id, job };
      thread.worker.postMessage(request, moved);
    }
  }

  /** Gives memory of a sealed block back that nobody reads any more. */
  recycle(sealed: ArrayBuffer): void {
    if (sealed.byteLength === BLOCK_BYTES + BLOCK_OVERHEAD_BYTES) this.#spare.push(sealed);
  }

  /** Ends the threads; what is under way rejects. */
  async close(): Promise<void> {
    this.#failure ??= new Error('the block threads are stopped');
    await Promise.all(this.#threads.map(({ worker }) => worker.terminate()));
  }
}
