import {
  ObjectIdSchema,
  snapshotCompleted,
  SnapshotTakenSchema,
  TimestampSchema,
  type SnapshotPart,
  type SnapshotTaken,
} from '@atrest/contracts';
import { EventPublisher } from '@atrest/platform-messaging';
import { rows, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import { z } from 'zod';
import { KeyConfigurationProjection } from '../projections/key-configuration-projection.js';
import { EpochRepository } from '../snapshots/epoch.repository.js';
import { SnapshotPartitions } from '../snapshots/partitions.js';
import { endOf } from '../snapshots/retention-policy.js';
import { NOT_ENABLED } from '../snapshots/snapshot-answers.js';
import { SnapshotRepository } from '../snapshots/snapshot.repository.js';
import { momentOf, toState, type Snapshot } from '../snapshots/snapshot-state.js';
import { LabelsSchema } from './labels.js';

/** A line of `atrest-store rebuild-catalog`. */
const LineSchema = z.object({
  snapshotId: ObjectIdSchema,
  epochId: ObjectIdSchema,
  projectId: ObjectIdSchema,
  clusterId: ObjectIdSchema,
  encryptionKeyId: z.string().min(1),
  completedAt: TimestampSchema,
  labels: z.record(z.string(), z.json()),
  /** Absent where the key did not open the snapshot. */
  source: z.record(z.string(), z.json()).optional(),
  files: z.int().nonnegative().optional(),
  bytes: z.int().nonnegative().optional(),
  storedBytes: z.int().nonnegative().optional(),
});
/** `parts`: what it was put together from, of a sharded cluster. */
type Line = z.infer<typeof LineSchema> & { readonly parts?: readonly SnapshotPart[] };

/** What an import did. */
export interface ImportReport {
  readonly imported: number;
  /** In the catalogue already, deleted ones included: nothing comes back that somebody deleted. */
  readonly known: number;
  readonly problems: readonly { readonly line: number; readonly detail: string }[];
}

const DAY_MS = 86_400_000;
/** In one transaction. */
const BATCH = 100;

/**
 * The first revision of what is imported: above whatever the lost catalogue had told, so that nobody takes what follows for old. A snapshot's revisions stay
 * far below the step of a day.
 */
const revisionOfImport = (now: Date): number => Math.floor((now.getTime() - Date.UTC(2020, 0, 1)) / DAY_MS) * 100_000;

/**
 * Lists again what the snapshot store holds and the catalogue has lost (F65). Idempotent. What was decided after a snapshot was taken is not in the store: a
 * retention that somebody changed counts as it was at first.
 */
export async function importCatalogue(
  database: ServiceDatabase,
  lines: AsyncIterable<string> | Iterable<string>,
  clock: Clock,
): Promise<ImportReport> {
  const importer = new Importer(database, clock);
  const problems: ImportReport['problems'][number][] = [];
  let [number, imported, known] = [0, 0, 0];
  let batch: Line[] = [];
  const parts = new Map<string, { readonly line: number; readonly part: Line }[]>();
  const flush = async (): Promise<void> => {
    const written = await importer.write(batch);
    imported += written;
    known += batch.length - written;
    batch = [];
  };
  for await (const text of lines) {
    number += 1;
    if (text.trim() === '') continue;
    const line = lineOf(text);
    if ('problem' in line) problems.push({ line: number, detail: line.problem });
    else {
      const { partOf } = LabelsSchema.parse(line.labels);
      if (partOf === null) batch.push(line);
      else parts.set(partOf, [...(parts.get(partOf) ?? []), { line: number, part: line }]);
    }
    if (batch.length === BATCH) await flush();
  }
  for (const [id, found] of parts) {
    const whole = wholeOf(
      id,
      found.map(({ part }) => part),
    );
    if ('problem' in whole) problems.push({ line: found[0]?.line ?? number, detail: whole.problem });
    else batch.push(whole);
    if (batch.length === BATCH) await flush();
  }
  await flush();
  return { imported, known, problems };
}

function lineOf(text: string): Line | { readonly problem: string } {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { problem: 'it is not JSON' };
  }
  const parsed = LineSchema.safeParse(json);
  return parsed.success ? parsed.data : { problem: z.prettifyError(parsed.error).replaceAll('\n', ' ') };
}

/** A snapshot of a sharded cluster, from the lines of its parts. Without one of them it cannot be restored, and is none. */
function wholeOf(id: string, parts: readonly Line[]): Line | { readonly problem: string } {
  const known = parts.map((line) => ({ line, labels: LabelsSchema.parse(line.labels), taken: takenOf(line) }));
  const config = known.find(({ labels }) => labels.role === 'config');
  const wanted = Math.max(...known.map(({ labels }) => labels.parts));
  if (config === undefined || known.length < wanted) {
    return { problem: `the snapshot ${id} of a sharded cluster has ${known.length} of its ${wanted} parts, and is not imported` };
  }
  const sum = (of: (line: Line) => number | undefined): number => parts.reduce((total, line) => total + (of(line) ?? 0), 0);
  const { labels, taken } = config;
  return {
    ...config.line,
    snapshotId: id,
    completedAt:
      parts
        .map(({ completedAt }) => completedAt)
        .toSorted()
        .at(-1) ?? config.line.completedAt,
    labels: { ...labels, replicaSet: null },
    ...(taken !== null && {
      source: { ...config.line.source, optime: taken.cut ?? taken.optime, checkpointTimestamp: null, topology: topologyOf(known) },
      files: sum(({ files }) => files),
      bytes: sum(({ bytes }) => bytes),
      storedBytes: sum(({ storedBytes }) => storedBytes),
    }),
    parts: known
      .map((part) => ({
        snapshotId: part.line.snapshotId,
        replicaSet: part.labels.replicaSet ?? 'unknown',
        role: part.labels.role,
        member: part.taken?.member ?? null,
        taken: part.taken,
      }))
      .toSorted((a, b) => a.role.localeCompare(b.role, 'en') || a.replicaSet.localeCompare(b.replicaSet, 'en')),
  };
}

const topologyOf = (parts: readonly { readonly taken: SnapshotTaken | null }[]): SnapshotTaken['topology'] => ({
  replicaSet: null,
  members: parts.flatMap(({ taken }) => taken?.topology.members ?? []),
});

class Importer {
  private readonly publisher: EventPublisher;
  private readonly epochs: EpochRepository;
  private readonly snapshots: SnapshotRepository;

  constructor(
    private readonly database: ServiceDatabase,
    private readonly clock: Clock,
  ) {
    this.publisher = new EventPublisher('snapshot-catalog', clock);
    this.epochs = new EpochRepository(new KeyConfigurationProjection(database));
    this.snapshots = new SnapshotRepository(database, new SnapshotPartitions(database));
  }

  /** Answers how many were new. */
  write(lines: readonly Line[]): Promise<number> {
    return this.database.transaction(async (tx) => {
      let written = 0;
      for (const line of lines) if (await this.writeOne(tx, line)) written += 1;
      return written;
    });
  }

  private async writeOne(tx: Transaction, line: Line): Promise<boolean> {
    const now = this.clock.now();
    const snapshot = snapshotOf(line, now);
    const { epochId: id, clusterId, projectId, provider, encryptionKeyId } = snapshot;
    await this.epochs.adopt(tx, { id, clusterId, projectId, provider, encryptionKeyId }, snapshot.requestedAt);
    if ((await this.snapshots.insert(tx, snapshot)) === 'known-already') return false;
    // The next proof says what the import does not know: whether all of it is there.
    await rows(tx, 'UPDATE cluster_backup SET next_proof_at = $2 WHERE cluster_id = $1', [clusterId, now]);
    await this.publisher.publish(tx, snapshotCompleted, toState(snapshot));
    return true;
  }
}

function snapshotOf(line: Line, now: Date): Snapshot {
  const labels = LabelsSchema.parse(line.labels);
  const taken = takenOf(line);
  const completedAt = new Date(line.completedAt);
  const retention = { unit: labels.retentionUnit, value: labels.retentionValue };
  const encryptionKeyId = line.encryptionKeyId === NOT_ENABLED ? null : line.encryptionKeyId;
  return {
    id: line.snapshotId,
    projectId: line.projectId,
    clusterId: line.clusterId,
    clusterName: labels.clusterName,
    epochId: line.epochId,
    provider: encryptionKeyId === null ? 'NONE' : (labels.provider ?? providerByName(encryptionKeyId)),
    encryptionKeyId,
    status: 'completed',
    snapshotType: labels.snapshotType,
    frequencyType: labels.frequencyType,
    policyItems: labels.policyItems,
    description: labels.description,
    replicaSet: labels.replicaSet,
    parts: line.parts ?? null,
    retention,
    dueAt: null,
    requestedAt: labels.requestedAt === null ? completedAt : new Date(labels.requestedAt),
    startedAt: taken === null ? null : new Date(completedAt.getTime() - taken.durationMs),
    createdAt: taken === null ? completedAt : momentOf(taken),
    expiresAt: endOf(retention, completedAt),
    deletedAt: null,
    source: { kind: 'secondary' },
    methods: taken === null ? [] : [taken.method],
    avoidMember: null,
    anew: false,
    jobId: null,
    taken,
    progress: null,
    failure: null,
    attempt: labels.attempt,
    retryAt: null,
    lastProof: null,
    proofFailure: null,
    clearStore: false,
    revision: revisionOfImport(now),
  };
}

/** For labels that do not say it: the clouds' names of keys have forms of their own, what has none is an appliance's. */
function providerByName(encryptionKeyId: string): Snapshot['provider'] {
  if (encryptionKeyId.startsWith('arn:')) return 'AWS';
  if (encryptionKeyId.startsWith('https://')) return 'AZURE';
  return encryptionKeyId.startsWith('projects/') ? 'GCP' : 'KMIP';
}

/** What the agent recorded; null where the key did not open it, or another release wrote it. */
function takenOf({ source, completedAt, files, bytes, storedBytes }: Line): SnapshotTaken | null {
  const parsed = SnapshotTakenSchema.safeParse({ ...source, completedAt, files, bytes, storedBytes });
  return parsed.success ? parsed.data : null;
}
