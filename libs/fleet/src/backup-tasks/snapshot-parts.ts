import {
  newObjectId,
  type BackupFailure,
  type BackupProgress,
  type OplogTime,
  type SnapshotPart,
  type SnapshotTaken,
} from '@atrest/contracts';
import { isFinished, taskFor, type BackupTask, type BackupTaskEventName, type BackupTaskFact } from './backup-task.js';
import type { ChosenPart } from './choose-source.js';

/** A task that no agent does: it stands for the parts of one snapshot of a sharded cluster. */
export const standsForParts = (task: BackupTask): boolean =>
  task.job.kind === 'take-snapshot' && task.hostId === null && !isFinished(task.status);

/** The task that stands for the parts of a job, and those of its parts. Each part has an id of its own in the store. */
export function tasksOfParts(
  job: Extract<BackupTask['job'], { kind: 'take-snapshot' }>,
  parts: readonly ChosenPart[],
  now: Date,
): { readonly whole: BackupTask; readonly parts: readonly { readonly task: BackupTask; readonly event: BackupTaskEventName }[] } {
  const [first] = parts;
  if (first === undefined) throw new TypeError('a sharded cluster has parts');
  const whole: BackupTask = {
    ...taskFor(job, first.host, now).task,
    status: 'OPEN',
    hostId: null,
    processId: null,
    member: null,
    sealingKey: null,
  };
  return {
    whole,
    parts: parts.map(({ replicaSet, role, host }) => {
      const own = {
        ...job,
        id: newObjectId(now),
        snapshotId: newObjectId(now),
        parentSnapshotId: job.parentParts?.find((part) => part.replicaSet === replicaSet)?.snapshotId ?? null,
        // No other method can be extended to one moment of all.
        methods: ['backupCursor' as const],
        labels: { ...job.labels, replicaSet, partOf: job.snapshotId, role, parts: parts.length },
      };
      const { task, event } = taskFor(own, host, now);
      return { task: { ...task, group: { id: job.id, replicaSet, role } }, event };
    }),
  };
}

/** Parts as other services may remember them: the config servers first, then by name. */
export function partStates(parts: readonly BackupTask[]): SnapshotPart[] {
  const states = parts.flatMap(({ group, job, member, result }) =>
    group === null || job.kind !== 'take-snapshot'
      ? []
      : [{ snapshotId: job.snapshotId, replicaSet: group.replicaSet, role: group.role, member, taken: result?.taken ?? null }],
  );
  return states.toSorted((a, b) => a.role.localeCompare(b.role, 'en') || a.replicaSet.localeCompare(b.replicaSet, 'en'));
}

/** What the ends of parts mean for the task that stands for them; null: nothing yet. The first failure ends the others, and the whole when all have ended. */
export function factOfParts(whole: BackupTask, parts: readonly BackupTask[]): BackupTaskFact | null {
  const failed = parts.filter(({ status }) => status === 'FAILED');
  const over = parts.every(({ status }) => isFinished(status));
  if (!over) {
    const reason = failed.length > 0 ? reasonOf(failed) : null;
    return reason !== null && whole.status === 'OPEN' ? { kind: 'cancelled', reason } : null;
  }
  if (failed.length > 0) return { kind: 'failed', failure: whole.reason === null ? reasonOf(failed) : ENDED };
  return together(whole, parts);
}

/** What the task was ended for is its failure. */
const ENDED: BackupFailure = { code: 'CANCELLED', detail: 'Its parts have ended.' };

/** The earliest cause: what was only ended because of another part says nothing. */
function reasonOf(failed: readonly BackupTask[]): BackupFailure {
  const [first] = failed.toSorted((a, b) => (a.finishedAt?.getTime() ?? 0) - (b.finishedAt?.getTime() ?? 0));
  const { code = 'INTERNAL', detail = 'It did not say why.' } = first?.failure ?? {};
  return { code, detail: `Replica set ${first?.group?.replicaSet ?? 'unknown'}: ${detail}`.slice(0, 2_000) };
}

/** All parts as one snapshot, or why they are none. */
function together({ cut }: BackupTask, parts: readonly BackupTask[]): BackupTaskFact {
  const taken = parts.flatMap(({ result }) => result?.taken ?? []);
  const proofs = parts.flatMap(({ result }) => result?.proof ?? []);
  const config = parts.find(({ group }) => group?.role === 'config')?.result?.taken;
  if (config === undefined || taken.length < parts.length || proofs.length < parts.length) {
    return { kind: 'failed', failure: { code: 'INTERNAL', detail: 'A part is done, but its agent did not say with what.' } };
  }
  const apart = parts.filter(({ result }) => !isSame(result?.taken?.cut, cut));
  if (apart.length > 0)
    return { kind: 'failed', failure: { code: 'NOT_CUT', detail: `Not all parts were cut at one moment: ${namesOf(apart)}.` } };
  const copied = new Set(parts.map(({ group }) => group?.replicaSet));
  const missing = (config.shards ?? []).filter(({ replicaSet }) => !copied.has(replicaSet));
  if (missing.length > 0) {
    const names = missing.map(({ name, replicaSet }) => `${name} (replica set ${replicaSet})`).join(', ');
    return { kind: 'failed', failure: { code: 'NO_SOURCE', detail: `The cluster has shards that no part was taken of: ${names}.` } };
  }
  const sum = (of: (one: SnapshotTaken) => number): number => taken.reduce((total, one) => total + of(one), 0);
  const whole: SnapshotTaken = {
    ...config,
    completedAt:
      taken
        .map(({ completedAt }) => completedAt)
        .toSorted()
        .at(-1) ?? config.completedAt,
    durationMs: Math.max(...taken.map(({ durationMs }) => durationMs)),
    topology: { replicaSet: null, members: taken.flatMap(({ topology }) => topology.members) },
    optime: cut,
    checkpointTimestamp: null,
    files: sum(({ files }) => files),
    bytes: sum(({ bytes }) => bytes),
    storedBytes: sum(({ storedBytes }) => storedBytes),
  };
  const total = (of: (one: (typeof proofs)[number]) => number): number => proofs.reduce((before, one) => before + of(one), 0);
  const proof = {
    // As old as the oldest.
    provenAt: proofs.map(({ provenAt }) => provenAt).toSorted()[0] ?? whole.completedAt,
    blocksSampled: total(({ blocksSampled }) => blocksSampled),
    blocksRead: total(({ blocksRead }) => blocksRead),
    bytesRead: total(({ bytesRead }) => bytesRead),
  };
  return { kind: 'done', result: { taken: whole, proof } };
}

const namesOf = (parts: readonly BackupTask[]): string => parts.map(({ group }) => group?.replicaSet).join(', ');

const isSame = (a: OplogTime | undefined, b: OplogTime | null): boolean =>
  a !== undefined && b !== null && a.seconds === b.seconds && a.increment === b.increment;

/** The moment that every part can be extended to, once all hold: the latest end of their oplogs. Null while one does not, or where it is known already. */
export function cutOf(whole: BackupTask, parts: readonly BackupTask[]): OplogTime | null {
  if (whole.cut !== null || whole.status !== 'OPEN') return null;
  const ends = parts.flatMap(({ status, progress }) =>
    status === 'OPEN' && progress?.phase === 'holding' ? (progress.oplogEnd ?? []) : [],
  );
  if (ends.length < parts.length) return null;
  // Terms are of one set each.
  const [latest] = ends.toSorted((a, b) => b.seconds - a.seconds || b.increment - a.increment);
  return latest === undefined ? null : { seconds: latest.seconds, increment: latest.increment, term: null };
}

const PHASES: readonly BackupProgress['phase'][] = ['preparing', 'holding', 'copying', 'finishing', 'proving'];

/** How far all parts are together: in the phase of the one that is behind. Null before an agent has said anything. */
export function progressOfParts(parts: readonly BackupTask[], now: Date): BackupProgress | null {
  const known = parts.flatMap(({ status, progress }) => (progress === null ? [] : [{ over: isFinished(status), progress }]));
  if (known.length === 0) return null;
  const sum = (of: (progress: BackupProgress) => number): number => known.reduce((total, { progress }) => total + of(progress), 0);
  const going = known.filter(({ over }) => !over);
  const rates = going.flatMap(({ progress }) => progress.bytesPerSecond ?? []);
  const left = going.flatMap(({ progress }) => progress.secondsLeft ?? []);
  const behind = Math.min(...(going.length > 0 ? going : known).map(({ progress }) => PHASES.indexOf(progress.phase)));
  return {
    phase: known.length < parts.length ? 'preparing' : (PHASES[behind] ?? 'preparing'),
    files: sum(({ files }) => files),
    filesTotal: sum(({ filesTotal }) => filesTotal),
    bytes: sum(({ bytes }) => bytes),
    bytesTotal: sum(({ bytesTotal }) => bytesTotal),
    storedBytes: sum(({ storedBytes }) => storedBytes),
    bytesPerSecond: rates.length === 0 ? null : rates.reduce((total, rate) => total + rate, 0),
    secondsLeft: left.length === 0 ? null : Math.max(...left),
    at: now.toISOString(),
  };
}
