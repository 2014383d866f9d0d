import type { KeyConfigurationState } from '@atrest/contracts';
import { command, facts, heading, list, paragraph, type Block, type MailContent } from '../mail/mail-content.js';
import { keyRepair } from './key-repair.js';
import { API_NAMES, apiUrl, clusterCount, KMS_NAMES, keyName, REASON_WORDS, tellingEvidence, utc } from './words.js';

export interface ProjectNamed {
  readonly id: string;
  readonly name: string;
}

export interface KeyMessageFacts {
  readonly project: ProjectNamed;
  readonly configuration: KeyConfigurationState;
  /** Names of the project's clusters that use this provider, sorted. */
  readonly clusters: readonly string[];
  /** Scheme and authority of the API. */
  readonly publicUrl: string;
}

/** One mail for all clusters of the project: the key is gone, everything that uses it is being stopped. */
export function keyInvalidMessage({ project, configuration, clusters, publicUrl }: KeyMessageFacts): MailContent {
  const observed = configuration.mode === 'observe';
  const kms = KMS_NAMES[configuration.provider];
  const consequence = observed
    ? `${clusterCount(clusters.length)} would have been stopped`
    : `${clusterCount(clusters.length)} being stopped`;
  return {
    subject: `[Atrest] Customer key of project ${project.name} is not usable: ${consequence}`,
    blocks: [
      paragraph(
        `The customer key of project ${project.name} in ${kms} ${reasonWords(configuration)}. This was confirmed by repeated checks.`,
      ),
      ...whatTheProviderSaid(configuration),
      heading(observed ? 'Clusters that would have been stopped' : 'Clusters being stopped'),
      ...clusterBlocks(clusters),
      ...(observed
        ? [paragraph('This project only observes the validity of its key. Nothing was stopped and nothing will be.')]
        : [heading('What still works'), list(stillWorks(clusters.length)), paragraph(HONESTY)]),
      heading('How to repair it'),
      ...keyRepair(configuration, tellingEvidence(configuration.evidence)?.reason ?? null),
      ...tryAgain(project, configuration, publicUrl, observed),
    ],
  };
}

/** The key is usable again. `invalidSince` when it is known. */
export function keyValidMessage({ project, configuration, clusters }: KeyMessageFacts, invalidSince: Date | null, now: Date): MailContent {
  const observed = configuration.mode === 'observe';
  const consequence = observed ? 'nothing was stopped' : `${clusterCount(clusters.length)} starting again`;
  return {
    subject: `[Atrest] Customer key of project ${project.name} is usable again: ${consequence}`,
    blocks: [
      paragraph(`The customer key of project ${project.name} in ${KMS_NAMES[configuration.provider]} is usable again.`),
      facts([
        ['Key', keyName(configuration)],
        ['Invalid since', invalidSince && utc(invalidSince)],
        ['Usable since', utc(configuration.lastProvenAt ?? now)],
      ]),
      ...(observed
        ? [paragraph('This project only observes the validity of its key. Nothing had been stopped.')]
        : [
            heading('Clusters starting again'),
            ...clusterBlocks(clusters),
            paragraph(
              'Changes that were made while they were stopped are applied first. Each cluster accepts reads and writes as soon as its members have started and elected a primary; you need not do anything.',
            ),
          ]),
    ],
  };
}

export const HONESTY =
  'Please note: stopping mongod does not erase keys from swap, core dumps or another administrator’s copy. With a server that has no encrypted storage engine (MongoDB Community), validity enforcement stops processes and the snapshots of Atrest are encrypted, but the files on disk are as readable as the volume is.';

const stillWorks = (clusters: number): string[] => [
  'Data files and hosts are untouched: hosts keep running, nothing is deleted.',
  'Existing snapshots are kept.',
  `The API answers reads as usual, also about the stopped ${clusters === 1 ? 'cluster' : 'clusters'}.`,
  'Updates of the clusters are accepted and applied when the key is valid again.',
];

function reasonWords({ evidence }: KeyConfigurationState): string {
  const reason = tellingEvidence(evidence)?.reason ?? null;
  return reason !== null && Object.hasOwn(REASON_WORDS, reason) ? REASON_WORDS[reason as keyof typeof REASON_WORDS] : 'is not usable';
}

/** The provider's own error with the evidence that led to the decision. */
export function whatTheProviderSaid(configuration: KeyConfigurationState): Block[] {
  const { evidence, region, invalidSince } = configuration;
  const telling = tellingEvidence(evidence);
  const confirmations = evidence.filter(({ verdict }) => verdict === 'definitive');
  return [
    facts([
      ['Key', keyName(configuration)],
      ['Region', region],
      ['Since', invalidSince === null ? null : utc(invalidSince)],
      ['Reason', telling?.reason ?? null],
      ['Error', telling?.errorName ?? null],
      ['Message', telling?.message ?? null],
      ['HTTP status', telling === null || telling.httpStatus === null ? null : String(telling.httpStatus)],
      ['Request id', telling?.requestId ?? null],
      ['Last proven usable', configuration.lastProvenAt === null ? null : utc(configuration.lastProvenAt)],
    ]),
    ...(confirmations.length < 2
      ? []
      : [
          paragraph('The checks that confirmed it:'),
          list(
            confirmations.map(
              ({ at, errorName, requestId, observer }) =>
                `${utc(at)}: ${errorName ?? 'error'}${requestId === null ? '' : `, request ${requestId}`}, seen by ${observer}`,
            ),
          ),
        ]),
  ];
}

export function clusterBlocks(clusters: readonly string[]): Block[] {
  return [clusters.length === 0 ? paragraph('No cluster of the project uses this key at present.') : list(clusters)];
}

function tryAgain(project: ProjectNamed, { provider }: KeyConfigurationState, publicUrl: string, observed: boolean): Block[] {
  const url = apiUrl(publicUrl, `groups/${project.id}/encryptionAtRest/${API_NAMES[provider]}:check`);
  return [
    heading('How to try again'),
    paragraph(
      `The key is checked again on schedule${observed ? '' : ', and everything starts by itself once it is usable'}. To have it checked at once:`,
    ),
    command(`curl -X POST -H "Authorization: Bearer $TOKEN" -H "Accept: application/vnd.atlas.2023-01-01+json" ${url}`),
    { kind: 'link', label: 'Address of the API', url: publicUrl },
  ];
}
