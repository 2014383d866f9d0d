import type { BreakerIncident, KeyConfigurationState } from '@atrest/contracts';
import type { KeyConfigurationEventName } from '../alerts/alert.js';

/** What the operators of the installation, not the owners of one project, have to look at. */
export type IncidentKind = 'SHUTDOWNS_HELD' | 'KMS_UNREACHABLE';

/** What became of one configuration's part in an incident. */
export type EntryOutcome =
  | 'OPEN'
  /** Somebody released the held shutdown: it is carried out if the key is still gone. */
  | 'RELEASED'
  | 'CANCELLED'
  /** Nobody decided in time, and the project fails closed. */
  | 'CARRIED_OUT'
  /** The key is usable, or the KMS answers, again. */
  | 'OVER'
  /** Encryption at rest was turned off. */
  | 'REMOVED';

/** One trouble, however many configurations it hits. */
export interface Incident {
  readonly id: string;
  readonly kind: IncidentKind;
  readonly cause: string;
  readonly openedAt: Date;
  /** Messages about it so far. */
  readonly pages: number;
  readonly breaker: BreakerIncident | null;
}

/** A configuration's part in an incident. */
export interface IncidentEntry {
  readonly project: { readonly id: string; readonly name: string; readonly orgId: string | null };
  /** As it was when it joined. */
  readonly state: KeyConfigurationState;
  readonly since: Date;
  readonly outcome: EntryOutcome;
  readonly decidedBy: string | null;
  readonly overdue: boolean;
  /** Was part of an earlier message. */
  readonly told: boolean;
  /** Clusters that use the key. */
  readonly clusters: number;
}

export type IncidentChange =
  | { readonly change: 'join'; readonly kind: IncidentKind; readonly cause: string; readonly since: Date; readonly overdue: boolean }
  | { readonly change: 'settle'; readonly kind: IncidentKind; readonly outcome: Exclude<EntryOutcome, 'OPEN'>; readonly by: string | null };

/** All shutdowns that are held are held for one reason: that so many came at once. */
export const HELD_CAUSE = 'shutdowns-held';

/** What an event of a key configuration means for the incidents of the operators. Ends follow from the state, so that no lost event leaves one open. Pure. */
export function incidentChanges(event: KeyConfigurationEventName, state: KeyConfigurationState, at: Date): IncidentChange[] {
  if (event === 'removed' || !state.enabled) {
    return [settle('SHUTDOWNS_HELD', 'REMOVED'), settle('KMS_UNREACHABLE', 'REMOVED')];
  }
  return [...heldChanges(event, state, at), ...unreachableChanges(event, state, at)];
}

function heldChanges(event: KeyConfigurationEventName, { state, hold }: KeyConfigurationState, at: Date): IncidentChange[] {
  if (state !== 'HELD') return [settle('SHUTDOWNS_HELD', state === 'INVALID' ? 'CARRIED_OUT' : 'OVER')];
  if (hold !== undefined && hold.decision !== 'PENDING') return [settle('SHUTDOWNS_HELD', hold.decision, hold.decidedBy)];
  if (event !== 'held' && event !== 'hold-overdue') return [];
  const since = hold === undefined ? at : new Date(hold.since);
  return [{ change: 'join', kind: 'SHUTDOWNS_HELD', cause: HELD_CAUSE, since, overdue: event === 'hold-overdue' }];
}

function unreachableChanges(event: KeyConfigurationEventName, state: KeyConfigurationState, at: Date): IncidentChange[] {
  if (state.unreachableSince === null) return [settle('KMS_UNREACHABLE', 'OVER')];
  if (event !== 'unreachable-escalated' || state.alertLevel !== 'OPERATORS') return [];
  return [
    {
      change: 'join',
      kind: 'KMS_UNREACHABLE',
      cause: unreachableCause(state),
      since: new Date(state.unreachableSince ?? at),
      overdue: false,
    },
  ];
}

/** An outage of a cloud's KMS is one incident per region; an appliance belongs to one project. */
const unreachableCause = ({ provider, region, projectId }: KeyConfigurationState): string =>
  ['kms-unreachable', provider, provider === 'KMIP' ? projectId : (region ?? '')].join('/');

const settle = (kind: IncidentKind, outcome: Exclude<EntryOutcome, 'OPEN'>, by: string | null = null): IncidentChange => ({
  change: 'settle',
  kind,
  outcome,
  by,
});

/** What the operators are to be told now. */
export type PageReason =
  /** The first message, or more configurations than the last one named. */
  'news' | 'overdue' | 'closed';

/** What follows from the entries of an incident when it is looked at. Pure. */
export function judgeIncident(
  incident: Pick<Incident, 'pages'>,
  entries: readonly IncidentEntry[],
): { readonly page: PageReason | null; readonly closes: boolean } {
  const open = entries.filter(({ outcome }) => outcome === 'OPEN');
  if (entries.length > 0 && open.length === 0) return { page: incident.pages > 0 ? 'closed' : null, closes: true };
  if (open.some(({ overdue }) => overdue)) return { page: 'overdue', closes: false };
  // Opened by the breaker itself, before any configuration was heard of.
  return { page: incident.pages === 0 || open.some(({ told }) => !told) ? 'news' : null, closes: false };
}
