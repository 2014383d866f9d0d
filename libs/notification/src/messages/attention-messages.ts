import type { Attention, ClusterConcern, KeyConfigurationState, ProcessEndedForKey } from '@atrest/contracts';
import { facts, heading, paragraph, type MailContent } from '../mail/mail-content.js';
import { clusterBlocks, whatTheProviderSaid, type KeyMessageFacts, type ProjectNamed } from './key-messages.js';
import { capital, KMS_NAMES, keyName, tellingEvidence, utc } from './words.js';

/** The KMS cannot be asked. Said again, as 'still', when it lasts long. */
export function kmsUnreachableMessage({ project, configuration, clusters }: KeyMessageFacts): MailContent {
  const kms = KMS_NAMES[configuration.provider];
  const still = configuration.alertLevel === 'ORGANISATION_OWNERS' ? 'still ' : '';
  return {
    subject: `[Atrest] ${capital(kms)} ${still}cannot be asked about the key of project ${project.name}; nothing is stopped`,
    blocks: [
      paragraph(
        `Atrest ${still}cannot find out whether the customer key of project ${project.name} is usable: ${kms} does not answer, or answers only with errors that say nothing about the key. No database is stopped for this reason.`,
      ),
      facts([['Unreachable since', configuration.unreachableSince === null ? null : utc(configuration.unreachableSince)]]),
      ...whatTheProviderSaid(configuration),
      heading('What it means'),
      paragraph(
        'Running clusters go on. A mongod with an encrypted storage engine that has to start now may not get its key until the KMS answers again. Check the network, name resolution and the limits of your KMS account.',
      ),
      heading('Clusters that use this key'),
      ...clusterBlocks(clusters),
    ],
  };
}

export function kmsReachableMessage({ project, configuration }: KeyMessageFacts, unreachableSince: Date | null, now: Date): MailContent {
  return {
    subject: `[Atrest] ${capital(KMS_NAMES[configuration.provider])} answers again for project ${project.name}`,
    blocks: [
      paragraph(`The customer key of project ${project.name} can be checked again.`),
      facts([
        ['Key', keyName(configuration)],
        ['Unreachable since', unreachableSince && utc(unreachableSince)],
        ['Reachable since', utc(now)],
      ]),
    ],
  };
}

const ATTENTION_TITLES: Readonly<Record<Attention['kind'], string>> = {
  UNCLASSIFIED_ERROR: 'answered with an error that Atrest does not know',
  KEY_UNAVAILABLE: 'reports that the key is not available at the moment',
  ALIAS_MOVED: 'points the configured alias to another key',
  WRAP_REFUSED: 'refuses to encrypt with the key',
  KEY_CONFIGURATION_MISSING: 'is used by a cluster without a key configuration',
};

/** Something a person should look at. */
export function attentionMessage({ project, configuration }: KeyMessageFacts): MailContent {
  const { attention } = configuration;
  const kms = KMS_NAMES[configuration.provider];
  const title = attention === undefined ? 'needs attention' : ATTENTION_TITLES[attention.kind];
  return {
    subject: `[Atrest] Please look at the customer key of project ${project.name}: ${kms} ${title}`,
    blocks: [
      paragraph(`${capital(kms)} ${title}. Nothing is stopped, and the state of the key configuration did not change.`),
      ...(attention === undefined ? [] : [paragraph(attention.detail), facts([['Seen', utc(attention.at)]])]),
      ...whatTheProviderSaid(withoutDecision(configuration)),
    ],
  };
}

/** An observation is shown as evidence, not as what led to a stop. */
const withoutDecision = (configuration: KeyConfigurationState): KeyConfigurationState => {
  const telling = tellingEvidence(configuration.evidence);
  return { ...configuration, evidence: telling === null ? [] : [telling] };
};

/** That a process is held for a backup is no matter of a disabled cluster: `heldForBackupMessage`. */
type EnforcementConcern = ClusterConcern & { readonly kind: Exclude<ClusterConcern['kind'], 'HELD_FOR_BACKUP'> };

const CONCERN_TITLES: Readonly<Record<EnforcementConcern['kind'], string>> = {
  STOP_OVERDUE: 'a process does not stop',
  STARTED_BY_HAND: 'a process was started by hand',
  HOST_UNREACHABLE: 'a host does not answer',
  HOST_GIVEN_UP: 'a host was given up for lost',
};

/** While a cluster is being stopped or is stopped, something is not as it should be. */
export function concernMessage(project: ProjectNamed, concern: EnforcementConcern): MailContent {
  const { cluster, processId, kind, detail, since } = concern;
  const process = cluster.processes.find(({ id }) => id === processId);
  return {
    subject: `[Atrest] Cluster ${cluster.name} of project ${project.name}: ${CONCERN_TITLES[kind]}`,
    blocks: [
      paragraph(
        kind === 'HOST_GIVEN_UP'
          ? `Cluster ${cluster.name} has lost a process: ${CONCERN_TITLES[kind]}.`
          : `Cluster ${cluster.name} is disabled because its customer key is not valid, but ${CONCERN_TITLES[kind]}.`,
      ),
      paragraph(detail),
      facts([
        ['Cluster', cluster.name],
        ['State', cluster.state],
        ['Process', process === undefined ? processId : `${process.kind} on ${process.hostname}:${process.port}`],
        ['Since', utc(since)],
        ['Reason of the stop', cluster.disabledReason?.detail ?? null],
      ]),
      paragraph(
        kind === 'HOST_GIVEN_UP'
          ? 'Atrest no longer waits for it. If the host comes back, its agent is told to stop the process. Replace it by changing the processes of the cluster.'
          : 'Atrest goes on trying. Please look at the host: until the process is stopped, its data can be read.',
      ),
    ],
  };
}

/** A server found its master key gone before a check did. Whether the customer key is gone, the check decides. */
export function endedForKeyMessage(project: ProjectNamed, { cluster, processId, detail, endedAt }: ProcessEndedForKey): MailContent {
  const process = cluster.processes.find(({ id }) => id === processId);
  return {
    subject: `[Atrest] Cluster ${cluster.name} of project ${project.name}: a server ended because it could not use its master key`,
    blocks: [
      paragraph(
        `A server of cluster ${cluster.name} asked for its master key by itself, did not get it, and ended. Atrest did not stop it, and it is not a crash.`,
      ),
      facts([
        ['Cluster', cluster.name],
        ['Process', process === undefined ? processId : `${process.kind} on ${process.hostname}:${process.port}`],
        ['Ended', utc(endedAt)],
        ['What the server said', detail],
      ]),
      heading('What happens now'),
      paragraph(
        'The customer key is checked at once. If it is definitively not usable, you get a message about all clusters that use it. If it is usable, the server is started again after a wait; then look at the way from the server to its keys: KMIP server, proxy, certificates. Other servers on this key may end as well; no further message is sent about them today.',
      ),
    ],
  };
}

/** For the operators: a message that reached nobody it was meant for. */
export function undeliverableMessage(project: ProjectNamed, original: MailContent, why: string): MailContent {
  return {
    subject: `[Atrest operators] Nobody could be told: ${original.subject}`,
    blocks: [
      paragraph(`The message below was meant for the owners of project ${project.name} (${project.id}). ${why}`),
      paragraph('Please tell them, and give the project an owner who can be reached.'),
      heading(original.subject),
      ...original.blocks,
    ],
  };
}
