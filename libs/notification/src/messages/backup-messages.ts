import type { BackupFailure, ClusterConcern, SnapshotState } from '@atrest/contracts';
import { command, facts, heading, list, paragraph, type Block, type MailContent } from '../mail/mail-content.js';
import { BACKUP_REPAIR } from './backup-repair.js';
import type { ProjectNamed } from './key-messages.js';
import { apiUrl, utc } from './words.js';

export interface BackupMessageFacts {
  readonly project: ProjectNamed;
  readonly clusterName: string;
  /** When a snapshot of the cluster completed last, as far as it is known. */
  readonly lastSuccessAt: Date | null;
  /** Scheme and authority of the API. */
  readonly publicUrl: string;
}

/** A snapshot failed, and is not tried again by itself. */
export function snapshotFailedMessage(about: BackupMessageFacts, snapshot: SnapshotState, at: Date): MailContent {
  const { project, clusterName } = about;
  const wanted = snapshot.snapshotType === 'onDemand' ? 'The snapshot that was asked for' : 'A scheduled snapshot';
  const attempts = snapshot.attempt === 1 ? '' : `, after ${snapshot.attempt} attempts`;
  return {
    subject: `[Atrest] Cluster ${clusterName} of project ${project.name}: a snapshot failed`,
    blocks: [
      paragraph(`${wanted} of cluster ${clusterName} was not taken${attempts}. It is not tried again; nothing is left of it.`),
      facts([
        ['Snapshot', snapshot.id],
        ['Asked for', utc(snapshot.requestedAt)],
        ['Failed', utc(at)],
        ...failureFacts(snapshot.failure),
        ['Encryption key', snapshot.encryptionKeyId],
      ]),
      ...stillWorks(about, 'The next snapshot of the schedule is tried in its time.'),
      ...whatToDo(snapshot.failure),
      ...takeOne(about),
    ],
  };
}

/** Scheduled snapshots do not come. Said again, as 'for over a day', when it lasts. */
export function snapshotsBehindMessage(about: BackupMessageFacts, since: Date, old: boolean): MailContent {
  const { project, clusterName } = about;
  return {
    subject: `[Atrest] Cluster ${clusterName} of project ${project.name}: snapshots are overdue${old ? ' for over a day' : ''}`,
    blocks: [
      paragraph(
        old
          ? `No scheduled snapshot of cluster ${clusterName} was completed for over a day although one is due. What was written since the last one would be lost with the cluster.`
          : `Scheduled snapshots of cluster ${clusterName} are overdue.`,
      ),
      facts([
        ['Overdue since', utc(since)],
        ['Last completed snapshot', about.lastSuccessAt === null ? 'none' : utc(about.lastSuccessAt)],
      ]),
      ...stillWorks(about, 'The schedule goes on by itself: missed runs are caught up with one snapshot.'),
      heading('What to do'),
      paragraph('Look at the last snapshots of the cluster: one that failed says why. If none was begun, look at the agents of its hosts.'),
      command(`curl -H "Authorization: Bearer $TOKEN" -H "Accept: application/vnd.atlas.2023-01-01+json" ${snapshotsUrl(about)}`),
    ],
  };
}

/** A snapshot is there, but could not be read back and proven. */
export function snapshotNotProvenMessage(about: BackupMessageFacts, snapshot: SnapshotState, at: Date): MailContent {
  const { project, clusterName } = about;
  return {
    subject: `[Atrest] Cluster ${clusterName} of project ${project.name}: a snapshot could not be proven`,
    blocks: [
      paragraph(
        `A snapshot of cluster ${clusterName} was read back from the snapshot store, and could not be proven to be readable with its key and only with it. Until it is proven, do not count on it.`,
      ),
      facts([
        ['Snapshot', snapshot.id],
        ['Of', snapshot.createdAt && utc(snapshot.createdAt)],
        ['Last proven', snapshot.lastProof && utc(snapshot.lastProof.provenAt)],
        ['Tried', utc(at)],
        ...failureFacts(snapshot.proofFailure),
        ['Encryption key', snapshot.encryptionKeyId],
      ]),
      ...stillWorks(
        about,
        'Nothing is deleted. The snapshot is tried again; you hear of others of this cluster with the same trouble once a day.',
      ),
      ...whatToDo(snapshot.proofFailure),
      ...takeOne(about),
    ],
  };
}

/** No snapshot of the cluster was proven for too long. */
export function proofOverdueMessage(about: BackupMessageFacts, oldest: Date | null): MailContent {
  const { project, clusterName } = about;
  return {
    subject: `[Atrest] Cluster ${clusterName} of project ${project.name}: its snapshots were not proven for too long`,
    blocks: [
      paragraph(
        `Every day a snapshot of cluster ${clusterName} should be read back and proven. That did not happen for too long: whether its snapshots can be restored is not known any more.`,
      ),
      facts([
        ['Oldest proof', oldest && utc(oldest)],
        ['Last completed snapshot', about.lastSuccessAt === null ? 'none' : utc(about.lastSuccessAt)],
      ]),
      ...stillWorks(about, 'Proofs go on by themselves as soon as an agent with a snapshot store is at work.'),
      heading('What to do'),
      paragraph('Look at the agents that have a snapshot store, and at the store. A snapshot that is taken on demand is proven as well.'),
      ...takeOne(about),
    ],
  };
}

/** What was told of is over. */
export function backupsInOrderMessage({ project, clusterName, lastSuccessAt }: BackupMessageFacts, since: Date): MailContent {
  return {
    subject: `[Atrest] Cluster ${clusterName} of project ${project.name}: its backups are in order again`,
    blocks: [
      paragraph(`What you were told about the backups of cluster ${clusterName} is over. You need not do anything.`),
      facts([
        ['In order since', utc(since)],
        ['Last completed snapshot', lastSuccessAt && utc(lastSuccessAt)],
      ]),
    ],
  };
}

/** A lock or an open backup cursor that nobody needs any more was found on a member. */
export function heldForBackupMessage(project: ProjectNamed, { cluster, processId, detail, since }: ClusterConcern): MailContent {
  const process = cluster.processes.find(({ id }) => id === processId);
  return {
    subject: `[Atrest] Cluster ${cluster.name} of project ${project.name}: a process is still held for a backup`,
    blocks: [
      paragraph(
        `A process of cluster ${cluster.name} is locked against writes, or has a backup cursor open, although no snapshot is being taken of it.`,
      ),
      paragraph(detail),
      facts([
        ['Cluster', cluster.name],
        ['Process', process === undefined ? processId : `${process.kind} on ${process.hostname}:${process.port}`],
        ['Since', utc(since)],
      ]),
      heading('What it means'),
      paragraph(
        'A locked secondary falls behind and may have to be synchronised anew; a locked primary accepts no writes. An open backup cursor keeps files from being reused, so that the disk fills up.',
      ),
      heading('What to do'),
      paragraph(
        'Its agent releases by itself what it took. If this lasts, the agent does not run or somebody else took the lock: look at the host, and release it there.',
      ),
      command('db.adminCommand({ fsyncUnlock: 1 })'),
    ],
  };
}

const failureFacts = (failure: BackupFailure | null): (readonly [string, string | null])[] => [
  ['Why', failure?.code ?? null],
  ['In its own words', failure?.detail ?? null],
];

function stillWorks({ lastSuccessAt }: BackupMessageFacts, goesOn: string): Block[] {
  return [
    heading('What still works'),
    list([
      'The cluster is not touched: it runs, and its data is where it was.',
      lastSuccessAt === null
        ? 'There is no completed snapshot of the cluster that we know of.'
        : `Earlier snapshots are kept; the last one was completed at ${utc(lastSuccessAt)}.`,
      goesOn,
    ]),
  ];
}

const whatToDo = (failure: BackupFailure | null): Block[] =>
  failure === null ? [] : [heading('What to do'), paragraph(BACKUP_REPAIR[failure.code])];

function takeOne(about: BackupMessageFacts): Block[] {
  return [
    paragraph('To take a snapshot at once:'),
    command(
      `curl -X POST -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/vnd.atlas.2023-01-01+json" -d '{"description": "by hand", "retentionInDays": 7}' ${snapshotsUrl(about)}`,
    ),
  ];
}

const snapshotsUrl = ({ project, clusterName, publicUrl }: BackupMessageFacts): string =>
  apiUrl(publicUrl, `groups/${project.id}/clusters/${encodeURIComponent(clusterName)}/backup/snapshots`);
