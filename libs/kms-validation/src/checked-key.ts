import type { Evidence, KeyProviderName } from '@atrest/contracts';
import { foresee, type Outlook } from './key-prospects.js';
import { bindingOf } from './providers/bindings.js';
import { applyDecision, type Changed, type KeyConfiguration } from './key-configuration.js';
import { decide, type CheckResult, type MemberPolicy, type Moment, type Validity } from './validity-policy.js';

/** One customer key with one set of credentials: what a check looks at, whatever number of configurations use it. */
export interface CheckedKey {
  readonly id: string;
  readonly provider: KeyProviderName;
  readonly nextCheckAt: Date;
  /** The latest check of any kind; null before the first. */
  readonly lastEvidence: Evidence | null;
  readonly lastProvenAt: Date | null;
  readonly lastWrapProofAt: Date;
  /** When the provider was last asked what it says of the key. */
  readonly lastDescribedAt: Date;
  /** Whose canary was unwrapped last. */
  readonly lastMemberId: string | null;
  /** When the history got its latest entry, and how many checks there were since. */
  readonly sampledAt: Date | null;
  readonly checksSinceSample: number;
}

/** A configuration that uses a checked key, with the policy that applies to it. */
export interface Member {
  readonly configuration: KeyConfiguration;
  readonly policy: MemberPolicy;
}

/** Id of the checked key of a configuration that must not share. */
export const aloneId = (configurationId: string): string => `alone/${configurationId}`;

/** The member whose canary is unwrapped: each one's turn comes, so that in time every canary is proven. */
export function nextInTurn(members: readonly Member[], lastMemberId: string | null): Member | undefined {
  const sorted = members.toSorted((a, b) => (a.configuration.id < b.configuration.id ? -1 : 1));
  return sorted.find(({ configuration }) => lastMemberId === null || configuration.id > lastMemberId) ?? sorted[0];
}

/**
 * Whether a verdict can be about one member's canary and not about the key: a canary that was damaged or moved, or a key policy that names the project
 * (every provider authenticates it). Such a verdict is no verdict on the others before one of theirs says the same.
 */
export function mayConcernOneMember({ verdict, reason }: Evidence): boolean {
  return verdict === 'definitive' && (reason === 'CANARY_NOT_UNWRAPPED' || reason === 'CANARY_DIFFERS' || reason === 'ACCESS_DENIED');
}

/** What a check means for one member. */
export interface MemberDecision extends Changed {
  readonly before: KeyConfiguration;
  /** There is something to store: anything but one more result like the one before. */
  readonly worthStoring: boolean;
}

/** Applies one check to one member, under its own policy. */
export function decideMember(
  { configuration, policy }: Member,
  result: CheckResult & Pick<Outlook, 'description'>,
  moment: Moment,
): MemberDecision {
  // A mode that only observes stops nothing, so there is nothing to hold.
  const holdShutdowns = moment.holdShutdowns && configuration.mode === 'enforce';
  const decision = decide(configuration.validity, result, { ...moment, holdShutdowns }, policy);
  const { settings, provider, canary, prospects } = configuration;
  const foreseen = foresee(prospects, {
    now: moment.now,
    description: result.description,
    reminderDays: policy.rotationReminderDays,
    keepKey: (kind) => bindingOf(provider).keepKey(settings, canary.blob.resolvedKeyId, kind === 'DELETION' ? 'deletion' : 'expiry'),
  });
  const changed = applyDecision(configuration, decision, foreseen);
  const worthStoring =
    changed.publications.length > 0 || foreseen.prospects !== prospects || !sameButForTheProof(configuration.validity, decision.validity);
  return { before: configuration, worthStoring, ...changed };
}

/** Latest result and latest proof are the key's and stored there. */
function sameButForTheProof(a: Validity, b: Validity): boolean {
  return (
    a.state === b.state &&
    a.since.getTime() === b.since.getTime() &&
    // A usable verdict makes the list empty, whether or not it was; whatever is in it is never changed.
    a.evidence.length === b.evidence.length &&
    a.evidence.every((entry, index) => entry === b.evidence[index]) &&
    a.unreachableSince?.getTime() === b.unreachableSince?.getTime() &&
    a.unreachableAlerts === b.unreachableAlerts &&
    a.hold === b.hold &&
    a.announcedFindings === b.announcedFindings
  );
}

/** An entry of the history stands for at most this time while nothing changes: 2,160 entries in 90 days instead of 130,000. */
export const SAMPLE_INTERVAL_MS = 3_600_000;

/** Whether a result gets an entry in the history: it differs from the one before, or the latest entry is old. */
export function sampleDue(key: Pick<CheckedKey, 'lastEvidence' | 'sampledAt'>, evidence: Evidence): boolean {
  const { lastEvidence, sampledAt } = key;
  if (lastEvidence === null || sampledAt === null) return true;
  const differs = (['verdict', 'reason', 'errorName', 'httpStatus'] as const).some((name) => lastEvidence[name] !== evidence[name]);
  // A clock that was set back makes an entry as well.
  return differs || Math.abs(Date.parse(evidence.at) - sampledAt.getTime()) >= SAMPLE_INTERVAL_MS;
}
