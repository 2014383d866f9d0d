import { command, facts, heading, list, paragraph, type Block, type MailContent } from '../mail/mail-content.js';
import type { EntryOutcome, Incident, IncidentEntry, PageReason } from '../incidents/incident.js';
import { apiUrl, capital, clusterCount, keyName, KMS_NAMES, tellingEvidence, utc } from './words.js';

/** More lines are read by nobody; the API has them all. 500 is what a fleet-wide mistake brings together. */
const MAX_LINES = 500;
/** For more organisations than this the commands are given once, with a variable. */
const MAX_ORGANISATIONS = 3;

export interface OperatorPage {
  readonly incident: Incident;
  readonly entries: readonly IncidentEntry[];
  readonly reason: PageReason;
  readonly publicUrl: string;
}

/** One message for all shutdowns that the breaker holds. */
export function shutdownsHeldPage({ incident, entries, reason, publicUrl }: OperatorPage): MailContent {
  if (reason === 'closed') return heldClosedPage(incident, entries);
  const open = entries.filter(({ outcome }) => outcome === 'OPEN');
  const count = configurations(open.length || (incident.breaker?.failing ?? 0));
  return {
    subject:
      reason === 'overdue'
        ? `[Atrest operators] Nobody has decided on the held shutdowns of ${count} in time`
        : `[Atrest operators] Shutdowns held: the customer keys of ${count} turned out unusable at once`,
    blocks: [
      paragraph(
        'So many customer keys turned out definitively unusable at the same time that it is more likely our mistake than theirs. Nothing of what is listed below was stopped. It stays so until somebody decides, the keys are usable again, or the time of a project that fails closed is over.',
      ),
      facts([
        ['Since', utc(incident.breaker?.openedAt ?? incident.openedAt)],
        ['Failing when it began', incident.breaker && `${incident.breaker.failing} of ${incident.breaker.total} key configurations`],
        ['Limit', incident.breaker && `${incident.breaker.maxCount}, or ${Math.round(incident.breaker.maxShare * 100)} % of all`],
        ['Held now', count],
        ['Clusters that would be stopped', String(clustersOf(open))],
        ...deadlines(open),
      ]),
      heading('What to look at first'),
      list([
        'Does Atrest itself still reach and use its clouds? Role and network of the installation, name resolution, proxies, the clock of its hosts.',
        'Does the provider report an incident?',
        'Did one administrator change a policy, role or certificate that all these projects share?',
      ]),
      ...howToDecide(open, publicUrl),
      heading('Held shutdowns'),
      ...(open.length === 0 ? [paragraph('Not told by name yet. The API lists them.')] : entryList(open, heldLine)),
    ],
  };
}

function heldClosedPage(incident: Incident, entries: readonly IncidentEntry[]): MailContent {
  const counted = Object.entries(OUTCOMES)
    .map(([outcome, words]) => [entries.filter((entry) => entry.outcome === outcome).length, words] as const)
    .filter(([count]) => count > 0);
  const summary = counted.map(([count, words]) => `${count} ${words}`).join(', ');
  return {
    subject: `[Atrest operators] No shutdown is held any more: ${summary}`,
    blocks: [
      paragraph(
        `Each of the shutdowns that were held since ${utc(incident.breaker?.openedAt ?? incident.openedAt)} is decided on, or its key is usable again.`,
      ),
      facts(counted.map(([count, words]) => [capital(words), String(count)])),
      paragraph(
        'Released: the key is checked again, and databases are stopped if it is still not usable. Cancelled: nothing is stopped until the key was usable again.',
      ),
      heading('What became of them'),
      ...entryList(entries, outcomeLine),
    ],
  };
}

/** One message for all keys of a KMS that cannot be asked. */
export function kmsUnreachablePage({ incident, entries, reason }: OperatorPage): MailContent {
  const open = entries.filter(({ outcome }) => outcome === 'OPEN');
  const [first] = entries;
  const kms = first === undefined ? 'a KMS' : KMS_NAMES[first.state.provider];
  const where = first?.state.region == null ? '' : ` in ${first.state.region}`;
  if (reason === 'closed') {
    return {
      subject: `[Atrest operators] ${capital(kms)}${where} answers again`,
      blocks: [
        paragraph(
          `${capital(kms)}${where} can be asked again about all ${configurations(entries.length)} for which it could not. Nothing was stopped.`,
        ),
        ...entryList(entries, outcomeLine),
      ],
    };
  }
  return {
    subject: `[Atrest operators] ${capital(kms)}${where} cannot be asked about ${configurations(open.length)}; nothing is stopped`,
    blocks: [
      paragraph(
        `For the key configurations below, ${kms}${where} has not answered, or only with errors that say nothing about the key, for longer than their projects want to wait before you hear of it. Their owners know. No database is stopped for this reason, but a revoked key would not be noticed either.`,
      ),
      facts([
        ['Since', utc(incident.openedAt)],
        ['Clusters on these keys', String(clustersOf(open))],
      ]),
      heading('What to look at first'),
      list([
        'Network, name resolution, proxies and the clock of the installation.',
        'Whether the provider reports an incident.',
        'Whether quotas are used up: the errors below say so.',
      ]),
      heading('Keys that cannot be checked'),
      ...entryList(open, unreachableLine),
    ],
  };
}

const OUTCOMES: Readonly<Record<Exclude<EntryOutcome, 'OPEN'>, string>> = {
  RELEASED: 'released',
  CANCELLED: 'cancelled',
  CARRIED_OUT: 'carried out because the time to decide was over',
  OVER: 'usable again',
  REMOVED: 'removed',
};

const configurations = (count: number): string => (count === 1 ? '1 key configuration' : `${count} key configurations`);

function clustersOf(entries: readonly IncidentEntry[]): number {
  return entries.filter(({ state }) => state.mode === 'enforce').reduce((sum, { clusters }) => sum + clusters, 0);
}

function deadlines(open: readonly IncidentEntry[]): [string, string][] {
  const holds = open.flatMap(({ state }) => (state.hold === undefined ? [] : [state.hold]));
  const earliest = holds.map(({ until }) => until).toSorted()[0];
  const stopping = holds.filter(({ atTheEnd }) => atTheEnd === 'STOP').length;
  if (earliest === undefined) return [];
  return [
    ['Decide until', utc(earliest)],
    ['Stopped if nobody decides', stopping === 0 ? 'none: they stay held' : `${configurations(stopping)} of projects that fail closed`],
  ];
}

/** The commands that release and cancel; whoever calls them needs the role ORG_OWNER in the organisation. */
function howToDecide(open: readonly IncidentEntry[], publicUrl: string): Block[] {
  const byOrganisation = [...Map.groupBy(open, ({ project }) => project.orgId)].filter(
    (entry): entry is [string, IncidentEntry[]] => entry[0] !== null,
  );
  const few = byOrganisation.length > 0 && byOrganisation.length <= MAX_ORGANISATIONS;
  const named = few ? byOrganisation.map(([orgId]) => orgId) : ['$ORG_ID'];
  return [
    heading('How to decide'),
    paragraph(
      'As owner of the organisation, with an access token in $TOKEN. RELEASE: each key is checked at once, and databases whose key is still gone are stopped. CANCEL: nothing is stopped until the keys were usable again. To decide on some projects only, add "projectIds".',
    ),
    ...named.flatMap((orgId) => decisions(orgId, publicUrl)),
    ...(few ? [] : [paragraph('Organisations:'), list(byOrganisation.map(([orgId, held]) => `${orgId}: ${configurations(held.length)}`))]),
  ];
}

function decisions(orgId: string, publicUrl: string): Block[] {
  const url = apiUrl(publicUrl, `orgs/${orgId}/encryptionAtRest/heldShutdowns`);
  const patch = (decision: string): Block =>
    command(
      `curl -X PATCH -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/vnd.atlas.2023-01-01+json" -d '{"decision": "${decision}"}' ${url}`,
    );
  return [
    command(`curl -H "Authorization: Bearer $TOKEN" -H "Accept: application/vnd.atlas.2023-01-01+json" ${url}`),
    patch('RELEASE'),
    patch('CANCEL'),
  ];
}

function entryList(entries: readonly IncidentEntry[], lineOf: (entry: IncidentEntry) => string): Block[] {
  const more = entries.length - MAX_LINES;
  return [list(entries.slice(0, MAX_LINES).map(lineOf)), ...(more > 0 ? [paragraph(`And ${more} more.`)] : [])];
}

const subjectOf = ({ project, state }: IncidentEntry): string => `${project.name} (${project.id}), ${state.provider}: ${keyName(state)}`;

function heldLine(entry: IncidentEntry): string {
  const { state, clusters, since } = entry;
  const telling = tellingEvidence(state.evidence);
  const why = telling === null ? '' : `, ${telling.reason ?? 'unknown'}${telling.errorName === null ? '' : ` (${telling.errorName})`}`;
  const consequence = state.mode === 'observe' ? 'only observes' : clusterCount(clusters);
  return `${subjectOf(entry)}${why}, held since ${utc(since)}, ${consequence}`;
}

function unreachableLine(entry: IncidentEntry): string {
  const telling = entry.state.evidence.at(-1) ?? null;
  return `${subjectOf(entry)}, since ${utc(entry.since)}${telling === null ? '' : `, ${telling.errorName ?? telling.reason ?? 'no answer'}`}`;
}

function outcomeLine(entry: IncidentEntry): string {
  const { outcome, decidedBy } = entry;
  const words =
    outcome === 'OPEN' ? 'still held' : outcome === 'OVER' && entry.state.hold === undefined ? 'answers again' : OUTCOMES[outcome];
  return `${subjectOf(entry)}: ${words}${decidedBy === null ? '' : ` by ${decidedBy}`}`;
}
