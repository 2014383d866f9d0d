import { Long } from 'bson';
import { type Doc } from '../bson-values.js';
import { endOnDiskError } from '../process/ending.js';
import { PeerError, WireClient } from '../wire/client.js';
import { cursorOf } from './cursor-batch.js';
import { copyEverything, newestEntry } from './initial-sync.js';
import type { Member } from './member.js';
import { compareOpTimes, opTimeDocument, opTimeFrom } from './op-time.js';
import { rollBack } from './rollback.js';
import { chooseSyncSource, judgeSource } from './rules.js';
import type { SetState } from './set-state.js';

const CONTEXT = 'BackgroundSync';
const IDLE_MS = 300;
const AWAIT_MS = 2000;
const REPLY_TIMEOUT_MS = 10_000;
const BATCH = 1000;

/** Our oplog holds entries that the sync source does not have: history has to be taken back. */
class DivergedError extends Error {
  readonly code = 'DIVERGED';
}

/** Keeps a secondary up to date: chooses a member to copy from, fetches its oplog and applies it. */
export class OplogFollower {
  readonly #set: SetState;
  readonly #applied: () => void;
  #client: WireClient | undefined;
  #wake: (() => void) | undefined;
  #running: Promise<void> | undefined;

  /** `applied` is called after entries were applied and are on disk. */
  constructor(set: SetState, applied: () => void) {
    this.#set = set;
    this.#applied = applied;
    set.onChange(() => this.#wake?.());
    set.server.faults.onChange(() => this.#wake?.());
    set.server.fsyncLock.onChange(() => this.#wake?.());
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#client?.close();
    this.#wake?.();
    await this.#running;
  }

  async #run(): Promise<void> {
    const set = this.#set;
    while (!set.stopped) {
      const source = this.#source();
      if (source === undefined) {
        set.syncSource = '';
        await this.#idle();
        continue;
      }
      try {
        await this.#follow(source);
      } catch (error) {
        endOnDiskError(set.server.log, error);
        if (set.stopped) return;
        const message = error instanceof Error ? error.message : 'unknown';
        set.server.log.warn(CONTEXT, 'REPL', 21122, 'Fetcher stopped querying remote oplog with error', { error: message });
        await this.#idle();
      } finally {
        this.#client?.close();
        this.#client = undefined;
      }
    }
  }

  #source(): Member | undefined {
    const set = this.#set;
    if (set.config === undefined || set.self < 0 || set.state === 'PRIMARY' || set.me?.arbiterOnly === true || this.#mustWait()) {
      return undefined;
    }
    const index = chooseSyncSource(set.members, set.self, set.lastApplied);
    return index === undefined ? undefined : set.members[index];
  }

  async #idle(): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, IDLE_MS);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }

  async #follow(source: Member): Promise<void> {
    const set = this.#set;
    const host = source.config.host;
    const client = new WireClient(host);
    this.#client = client;
    const { log } = set.server;
    log.info(CONTEXT, 'REPL', 21799, 'Sync source candidate chosen', { syncSource: host });
    if (set.server.engine.oplog.length === 0) await copyEverything(set, client);
    log.info(CONTEXT, 'REPL', 21088, 'Changed sync source', {
      oldSyncSource: set.syncSource === '' ? 'empty' : set.syncSource,
      newSyncSource: host,
    });
    set.syncSource = host;
    try {
      await this.#tail(source, client);
    } catch (error) {
      if (!(error instanceof DivergedError)) throw error;
      await this.#takeBack(error, client);
    }
  }

  async #tail(source: Member, client: WireClient): Promise<void> {
    const set = this.#set;
    const mine = set.lastApplied;
    const first = await client.command(
      'local',
      {
        find: 'oplog.rs',
        filter: { ts: { $gte: mine.ts } },
        tailable: true,
        awaitData: true,
        batchSize: BATCH,
        term: Long.fromNumber(set.term),
        $readPreference: { mode: 'secondaryPreferred' },
      },
      REPLY_TIMEOUT_MS,
    );
    const cursor = cursorOf(first);
    const anchor = cursor.batch[0] === undefined ? undefined : opTimeFrom(cursor.batch[0]);
    const newest = opTimeFrom(await newestEntry(client));
    // Meanwhile we may have been elected: then our history is the one that holds.
    if (set.stopped || set.state === 'PRIMARY' || this.#mustWait()) return;
    const verdict = judgeSource(mine, anchor, newest);
    if (verdict === 'behind') throw new PeerError(`${source.config.host} is not ahead of us`);
    if (verdict === 'diverged') {
      throw new DivergedError(`our last entry ${JSON.stringify(opTimeDocument(mine))} is not in the oplog of ${source.config.host}`);
    }
    await this.#apply(cursor.batch.slice(1));
    while (this.#isStillSource(source)) {
      const more = await client.command(
        'local',
        {
          getMore: cursor.id,
          collection: 'oplog.rs',
          batchSize: BATCH,
          maxTimeMS: AWAIT_MS,
          term: Long.fromNumber(set.term),
          lastKnownCommittedOpTime: opTimeDocument(set.committed),
        },
        AWAIT_MS + REPLY_TIMEOUT_MS,
      );
      if (!this.#isStillSource(source)) return;
      await this.#apply(cursorOf(more).batch);
    }
  }

  /** Nothing is applied now: under the fsync lock, or because a test says so. */
  #mustWait(): boolean {
    const { faults, fsyncLock } = this.#set.server;
    return fsyncLock.locked || faults.has('fall-behind');
  }

  #isStillSource(source: Member): boolean {
    const set = this.#set;
    if (set.stopped || set.state === 'PRIMARY' || this.#mustWait() || !source.up) return false;
    // A secondary is followed only while it is ahead and there is no primary.
    if (source.state === 'PRIMARY') return true;
    return set.primary === undefined && compareOpTimes(source.applied, set.lastApplied) > 0;
  }

  async #apply(entries: Doc[]): Promise<void> {
    const set = this.#set;
    if (entries.length > 0) {
      set.server.writer.applyEntries(entries);
      const reached = set.lastApplied;
      await set.server.engine.sync();
      if (compareOpTimes(reached, set.durable) > 0) set.durable = reached;
    }
    if (set.state !== 'SECONDARY' && set.state !== 'PRIMARY' && compareOpTimes(set.lastApplied, set.consistentFrom) >= 0) {
      set.setState('RECOVERING', 'ReplCoord-0');
      set.setState('SECONDARY', 'OplogApplier-0');
    }
    if (entries.length > 0) this.#applied();
  }

  /** Goes back to the history of the sync source. Without anything in common all data is forgotten, and the next round copies everything. */
  async #takeBack(error: DivergedError, client: WireClient): Promise<void> {
    const set = this.#set;
    set.server.log.info(CONTEXT, 'ROLLBACK', 21593, 'Transition to ROLLBACK', { error: error.message });
    set.setState('ROLLBACK', CONTEXT);
    if (await rollBack(set, client)) return;
    const { engine, writer } = set.server;
    const own = engine.namespaces().filter((ns) => !ns.startsWith('local.'));
    writer.writeUnlogged([{ k: 'clearOplog' }, ...own.map((ns) => ({ k: 'drop' as const, ns }))]);
    await engine.sync();
    set.durable = set.lastApplied;
    set.setState('STARTUP2', CONTEXT);
  }
}
