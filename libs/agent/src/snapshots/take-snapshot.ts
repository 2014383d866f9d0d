import type { SnapshotProof, SnapshotTaken, TakeSnapshotTask } from '@atrest/contracts';
import { readMemberFacts, readServerSettings, type MemberFacts, type RunCommand, type ServerSettings } from '@atrest/mongod';
import { BackgroundLoop } from '@atrest/platform-time';
import {
  eraseEpochKeys,
  manifestKey,
  ObjectDamagedError,
  ObjectMissingError,
  readFileList,
  readManifest,
  SnapshotStoreError,
  writeSnapshot,
  type EpochKeys,
  type Manifest,
  type ObjectStore,
  type OpenEpoch,
  type SnapshotProgress,
} from '@atrest/snapshot-store';
import { BackupError } from './backup-error.js';
import { beginCopy, type ConsistentCopy } from './consistent-copy.js';
import { taskKeyOf } from './customer-key.js';
import { KeyUseError, type TaskKey } from './task-key.js';
import { epochForWriting, openEpochOf } from './epoch.js';
import type { BackupMember } from './member.js';
import type { ProgressMeter } from './progress.js';
import { prove } from './prove-snapshot.js';
import type { StillCluster } from './balancer.js';
import { cutPart, HOLD_LIMIT_MS, stillCluster, type Cut, type HeldPart } from './snapshot-part.js';
import { whatChanged, whyNotCopied } from './source-check.js';
import type { BackupHost } from './task-context.js';

export interface TakeOptions {
  /** Ends it: nothing is left of it then. */
  readonly signal: AbortSignal;
  readonly meter: ProgressMeter;
  readonly onProgress: () => void;
  /** Where the part of a sharded cluster is cut. */
  readonly cut: Cut;
  /** What is held waits for others, who wait for this. */
  readonly onHold: () => void;
}

export interface Taken {
  readonly taken: SnapshotTaken;
  readonly proof: SnapshotProof;
}

/**
 * Copies a member's data files into the store, reads them back and proves them. When this rejects, nothing of it is left: no manifest, no lock, no cursor.
 * What was stored is garbage that the collector sweeps.
 */
export async function takeSnapshot(host: BackupHost, task: TakeSnapshotTask, o: TakeOptions): Promise<Taken> {
  const member = host.member(task.processId);
  if (member === null || member.goal.dbPath === null) throw new BackupError('NO_SOURCE', 'This host runs no such member.');
  const store = await host.store.open();
  const manifest = manifestKey(task.epochId, task.snapshotId);
  try {
    // An earlier life of the agent may have written it and not told.
    await store.delete([manifest]);
    return await take(host, task, member, store, o);
  } catch (error) {
    await store.delete([manifest]).catch((cause: unknown) => {
      host.logger.warn({ err: cause, snapshotId: task.snapshotId }, 'the manifest of a snapshot that failed could not be deleted');
    });
    throw error;
  } finally {
    await store.close();
  }
}

async function take(host: BackupHost, task: TakeSnapshotTask, member: BackupMember, store: ObjectStore, o: TakeOptions): Promise<Taken> {
  const key = await taskKeyOf(task, host);
  try {
    const epoch = await epochForWriting(store, task, key, host.clock);
    try {
      const written = await copy(host, task, member, store, epoch, o);
      o.meter.enter('proving');
      o.onProgress();
      const proof = await proveWritten(host, task, store, key, epoch.keys, written.manifest, o.signal);
      return { taken: written.taken, proof };
    } finally {
      eraseEpochKeys(epoch.keys);
    }
  } finally {
    key.close();
  }
}

interface Written {
  readonly manifest: Manifest;
  readonly taken: SnapshotTaken;
}

async function copy(
  host: BackupHost,
  task: TakeSnapshotTask,
  member: BackupMember,
  store: ObjectStore,
  epoch: OpenEpoch,
  o: TakeOptions,
): Promise<Written> {
  const begun = performance.now();
  const process = member.process;
  if (process === null) throw new BackupError('NO_SOURCE', 'The member does not run.');
  const connection = member.connect();
  const run: RunCommand = (db, command, limitMs) => connection.run(db, command, limitMs);
  let held: ConsistentCopy | null = null;
  let watch: BackgroundLoop | null = null;
  let still: StillCluster | null = null;
  try {
    await host.settle(task.processId, run);
    const { facts, settings } = await describe(run);
    const unfit = whyNotCopied(facts);
    if (unfit !== null) throw new BackupError('NO_SOURCE', unfit);
    const context = { taskId: task.id, member, run, facts, notes: host.notes, clock: host.clock, logger: host.logger, signal: o.signal };
    still = await stillCluster(host, task, member, o.signal);
    const source = (held = await beginCopy(task.methods, context));
    host.logger.info({ method: source.method, files: source.files.length }, 'the files of a member are copied');
    const isSame = async (): Promise<void> => {
      await source.assertHeld();
      if (source.method !== 'stoppedMember') await assertSameMember(run, member, process, facts);
    };
    const lost = new AbortController();
    const onError = (error: unknown): void => {
      host.logger.info({ err: error }, 'the member changed while it is copied');
      lost.abort(error);
    };
    watch = new BackgroundLoop({ name: 'held files', intervalMs: host.keepAliveMs, run: isSame, onError });
    watch.start();
    const signal = AbortSignal.any([o.signal, lost.signal]);
    // At once: what is on its way to the store may take minutes to end.
    signal.addEventListener('abort', () => void source.end(), { once: true });
    const part =
      task.part === undefined
        ? null
        : await cutPart(source, { told: o.cut, meter: o.meter, onHold: o.onHold, limitMs: host.holdLimitMs ?? HOLD_LIMIT_MS, signal });
    // Every part is cut in the past now, wherever its agent is: chunks may move.
    await still?.assertStill();
    await still?.end();
    o.meter.enter('copying');
    o.onProgress();
    let progress: SnapshotProgress | null = null;
    const takenSoFar = (): SnapshotTaken =>
      takenOf(host, task, { member, facts, settings, source, epoch, durationMs: performance.now() - begun, progress, part, still });
    const manifest = await writeSnapshot({
      store,
      epoch,
      snapshotId: task.snapshotId,
      files: part?.files ?? source.files,
      parentId: await parentOf(host, task, store, epoch.keys),
      member: memberName(host, member),
      labels: task.labels,
      // Called when the last byte is copied: from here on the member is free.
      source: async () => {
        await watch!.stop();
        await isSame();
        await source.end();
        o.meter.enter('finishing');
        o.onProgress();
        return recordOf(takenSoFar());
      },
      compress: host.store.compress ?? false,
      threads: host.store.threads ?? 2,
      readLimit: lower(task.readLimit, host.store.readLimit),
      uploadLimit: lower(task.uploadLimit, host.store.uploadLimit),
      maxFiles: task.maxFiles,
      ...(host.leaseTimes !== undefined && { leaseTimes: host.leaseTimes }),
      clock: host.clock,
      signal,
      onProgress: (counts) => {
        progress = counts;
        o.meter.count(counts);
        o.onProgress();
      },
    }).catch((error: unknown) => {
      // What broke because the member was lost: that is the reason.
      throw lost.signal.aborted && !o.signal.aborted ? lost.signal.reason : unproven(error);
    });
    const { completedAt, files, bytes, storedBytes } = manifest;
    return { manifest, taken: { ...takenSoFar(), completedAt, files, bytes, storedBytes } };
  } finally {
    await watch?.stop();
    await held?.end();
    await still?.end();
    await connection.close();
  }
}

async function describe(run: RunCommand): Promise<{ readonly facts: MemberFacts; readonly settings: ServerSettings }> {
  const [facts, settings] = [await readMemberFacts(run), await readServerSettings(run)];
  for (const outcome of [facts, settings]) {
    if (!outcome.ok) {
      const isDenied = ['unauthorized', 'authentication-failed'].includes(outcome.failure.kind);
      const code = isDenied ? 'SOURCE_ACCESS_DENIED' : 'NO_SOURCE';
      throw new BackupError(code, `The member does not say how it is: ${outcome.failure.message}`);
    }
  }
  return {
    facts: (facts as Extract<typeof facts, { ok: true }>).value,
    settings: (settings as Extract<typeof settings, { ok: true }>).value,
  };
}

async function assertSameMember(
  run: RunCommand,
  member: BackupMember,
  process: NonNullable<BackupMember['process']>,
  before: MemberFacts,
): Promise<void> {
  const now = member.process;
  const isSame = now?.pid === process.pid && now.startTime === process.startTime;
  const after = isSame ? await readMemberFacts(run) : null;
  const why =
    after === null
      ? 'it was stopped or started again'
      : after.ok
        ? whatChanged(before, after.value)
        : `it does not answer (${after.failure.message})`;
  if (why !== null) {
    throw new BackupError('SOURCE_CHANGED', `The member changed while it was copied: ${why}. The snapshot is given up; take it again.`);
  }
}

/** A parent that is gone or damaged saves nothing, and must not spoil what comes after it. */
async function parentOf(host: BackupHost, task: TakeSnapshotTask, store: ObjectStore, keys: EpochKeys): Promise<string | null> {
  const parent = task.parentSnapshotId;
  if (parent === null || parent === task.snapshotId) return null;
  try {
    const manifest = await readManifest(store, keys, parent);
    let segments = 0;
    for await (const segment of readFileList(store, keys, manifest)) segments += segment.names.length > 0 ? 1 : 0;
    host.logger.debug({ parent, segments }, 'blocks of an earlier snapshot need not be stored again');
    return parent;
  } catch (error) {
    if (!isMissingOrDamaged(error)) throw error;
    host.logger.warn({ err: error, parent }, 'the earlier snapshot cannot be built upon; the new one stands alone');
    return null;
  }
}

const isMissingOrDamaged = (error: unknown): error is SnapshotStoreError =>
  error instanceof ObjectMissingError || error instanceof ObjectDamagedError;

/**
 * Proves what lies in the store with keys that come from the store: its epoch is opened once more, so that a key which was taken away meanwhile is found
 * out now and not at the restore. When nothing was learnt about the key (its KMS does not answer, what we were lent is over), the keys at hand prove it.
 */
async function proveWritten(
  host: BackupHost,
  task: TakeSnapshotTask,
  store: ObjectStore,
  key: TaskKey,
  atHand: EpochKeys,
  manifest: Manifest,
  signal: AbortSignal,
): Promise<SnapshotProof> {
  const again = await openEpochOf(store, task, key).catch((error: unknown) => {
    if (!(error instanceof KeyUseError) || error.isAboutTheKey) throw unproven(error);
    host.logger.warn({ err: error }, 'the customer key could not be asked once more; the snapshot is proven with the keys at hand');
    return null;
  });
  const share = manifest.blocks === 0 ? 1 : Math.min(1, task.proofBlocks / manifest.blocks);
  try {
    return await prove(store, again?.keys ?? atHand, manifest, { share, proofBlocks: task.proofBlocks, signal, clock: host.clock });
  } catch (error) {
    throw unproven(error);
  } finally {
    if (again !== null) eraseEpochKeys(again.keys);
  }
}

/** What was just written and cannot be read back is not damage that came with time. */
function unproven(error: unknown): unknown {
  const isBroken = isMissingOrDamaged(error) || (error instanceof BackupError && error.code === 'STORE_DAMAGED');
  return isBroken ? new BackupError('NOT_PROVEN', `What was written cannot be read back: ${error.message}`, { cause: error }) : error;
}

/** As it is written to the manifest, in which nothing is undefined. */
const recordOf = (taken: SnapshotTaken) =>
  Object.fromEntries(Object.entries(taken).flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const])));

const memberName = (host: BackupHost, member: BackupMember): string => `${host.hostname}:${member.goal.port}`;

const lower = (...limits: (number | null | undefined)[]): number | null => {
  const given = limits.filter((limit) => limit != null);
  return given.length === 0 ? null : Math.min(...given);
};

interface Described {
  readonly member: BackupMember;
  readonly facts: MemberFacts;
  readonly settings: ServerSettings;
  readonly source: ConsistentCopy;
  readonly epoch: OpenEpoch;
  readonly durationMs: number;
  readonly progress: SnapshotProgress | null;
  readonly part: HeldPart | null;
  readonly still: StillCluster | null;
}

function takenOf(host: BackupHost, task: TakeSnapshotTask, o: Described): SnapshotTaken {
  const { member, facts, settings, source, epoch, progress, part, still } = o;
  const { provider, keyVersion } = epoch.header.wrappedDataKey;
  const named = member.goal.replicaSet?.members.map(({ host: name }) => name) ?? [memberName(host, member)];
  return {
    completedAt: host.clock.now().toISOString(),
    durationMs: Math.round(o.durationMs),
    method: source.method,
    member: memberName(host, member),
    memberState: facts.state,
    ...settings,
    topology: { replicaSet: facts.setName, members: facts.members.length > 0 ? facts.members.map(({ host: name }) => name) : named },
    optime: part?.cut ?? source.optime,
    checkpointTimestamp: source.checkpointTimestamp,
    oplogEnd: source.oplogEnd,
    ...(part !== null && { cut: part.cut }),
    ...(still !== null && { shards: [...still.shards] }),
    files: progress?.files ?? 0,
    bytes: progress?.bytes ?? 0,
    storedBytes: progress?.storedBytes ?? 0,
    key:
      task.encryptionKeyId === null
        ? null
        : {
            provider: String(provider),
            encryptionKeyId: task.encryptionKeyId,
            keyVersion: typeof keyVersion === 'string' ? keyVersion : null,
          },
  };
}
