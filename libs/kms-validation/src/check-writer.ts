import type { EventPublisher } from '@atrest/platform-messaging';
import type { ServiceDatabase, Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import type { Breaker } from './breaker/breaker.js';
import type { CheckHistory, NewSample } from './check-history.js';
import { aloneId, decideMember, sampleDue, type CheckedKey, type Member, type MemberDecision } from './checked-key.js';
import type { CheckedKeyRepository, Lease } from './checked-key.repository.js';
import { FinishQueue, type UneventfulCheck } from './finish-queue.js';
import type { KeyObservation } from './key-check.js';
import type { KeyConfiguration } from './key-configuration.js';
import type { ApplyOutcome, KeyConfigurationRepository } from './key-configuration.repository.js';
import type { ClusterProjection } from './projections/cluster-projection.js';
import type { Moment } from './validity-policy.js';

/** What one check of a key gave, and for whom. */
export interface FinishedObservation {
  readonly key: CheckedKey;
  readonly lease: Lease;
  readonly members: readonly Member[];
  /** Whose canary was unwrapped. */
  readonly memberId: string;
  readonly observation: KeyObservation;
  /** A member whose canary gave a verdict that another member's did not confirm: it goes on alone, with that verdict. */
  readonly separated: { readonly memberId: string; readonly observation: KeyObservation } | null;
  readonly durationMs: number;
}

/** What became of one member. */
export interface MemberResult {
  readonly outcome: ApplyOutcome;
  readonly before: KeyConfiguration;
  readonly after: KeyConfiguration;
}

export type WrittenCheck =
  { readonly kind: 'applied'; readonly members: readonly MemberResult[] } | { readonly kind: 'lease-lost'; readonly members: readonly [] };

export interface CheckWriterOptions {
  readonly database: ServiceDatabase;
  readonly keys: CheckedKeyRepository;
  readonly repository: KeyConfigurationRepository;
  readonly history: CheckHistory;
  readonly publisher: EventPublisher;
  readonly clusters: ClusterProjection;
  readonly breaker: Breaker;
  readonly clock: Clock;
  /** In [0, 1); spreads due times. */
  readonly random: () => number;
}

/** So many configurations change in one transaction. A key that thousands of projects use must not make it minutes long. */
const BATCH = 200;

/** Writes what a check led to: state and event of each configuration in one transaction, and only while the lease holds. */
export class CheckWriter {
  private readonly uneventful: FinishQueue;

  constructor(private readonly options: CheckWriterOptions) {
    this.uneventful = new FinishQueue(options);
  }

  async write(finished: FinishedObservation): Promise<WrittenCheck> {
    const { clock, random, database, keys } = this.options;
    const moment = { now: clock.now(), random: random(), holdShutdowns: false };
    let decisions = decideAll(finished, moment);
    const breaker = decisions.some(stops) ? await this.options.breaker.ask() : null;
    if (breaker?.holds) decisions = decideAll(finished, { ...moment, holdShutdowns: true });
    const results: MemberResult[] = decisions.filter(({ worthStoring }) => !worthStoring).map(unchanged);
    const changed = decisions.filter(({ worthStoring }) => worthStoring);
    if (changed.length === 0) {
      const outcome = await this.uneventful.add(endOf(finished, decisions, moment.now));
      return outcome === 'finished' ? { kind: 'applied', members: results } : LEASE_LOST;
    }
    for (;;) {
      const batch = changed.splice(0, BATCH);
      const last = changed.length === 0;
      const written = await database.transaction(async (tx) => {
        if (!(await keys.holds(tx, finished.key.id, finished.lease))) return null;
        const applied: MemberResult[] = [];
        for (const decision of batch) applied.push(await this.applyTo(tx, decision, moment.now));
        if (breaker !== null && applied.some(isHeldNow)) await this.options.breaker.open(tx, breaker.tally);
        if (last) await this.finish(tx, finished, decisions, moment.now);
        return applied;
      });
      if (written === null) return LEASE_LOST;
      results.push(...written);
      if (last) return { kind: 'applied', members: results };
    }
  }

  private async applyTo(tx: Transaction, decision: MemberDecision, now: Date): Promise<MemberResult> {
    const { keys, repository, history, publisher } = this.options;
    const { before, configuration: after, publications } = decision;
    if (after.checkedKeyId !== before.checkedKeyId) {
      await keys.join(tx, { id: after.checkedKeyId, provider: after.provider, nextCheckAt: after.nextCheckAt }, now);
    }
    const outcome = await repository.applyCheck(tx, before, after);
    if (outcome !== 'applied') return { outcome, before, after: before };
    if (before.validity.state !== after.validity.state) {
      const stopped = after.validity.state === 'INVALID' ? await this.options.clusters.using(tx, after.projectId, after.provider) : [];
      await history.change(tx, before, after, now, stopped);
    }
    for (const { definition, data } of publications) await publisher.publish(tx, definition, data);
    return { outcome, before, after };
  }

  private async finish(tx: Transaction, finished: FinishedObservation, decisions: readonly MemberDecision[], now: Date): Promise<void> {
    const { durationMs, separated } = finished;
    const { finish, sample } = endOf(finished, decisions, now);
    const samples: NewSample[] = sample === null ? [] : [sample];
    if (separated !== null) {
      const { memberId, observation } = separated;
      samples.push({ checkedKeyId: aloneId(memberId), evidence: observation.evidence, durationMs, checks: 1 });
    }
    if (samples.length > 0) await this.options.history.sample(tx, samples);
    await this.options.keys.finish(tx, finish);
  }
}

const LEASE_LOST: WrittenCheck = { kind: 'lease-lost', members: [] };

/** What a check leaves on its key. */
function endOf(finished: FinishedObservation, decisions: readonly MemberDecision[], now: Date): UneventfulCheck {
  const { key, lease, observation, memberId, durationMs } = finished;
  const { evidence, wrapProvenAt, describedAt } = observation;
  const due = sampleDue(key, evidence);
  const checks = key.checksSinceSample + 1;
  const staying = decisions.filter(({ configuration }) => configuration.checkedKeyId === key.id);
  const plans = (staying.length > 0 ? staying : decisions).map(({ configuration }) => configuration.nextCheckAt.getTime());
  const after = {
    nextCheckAt: new Date(Math.min(...plans)),
    lastEvidence: evidence,
    lastProvenAt: evidence.verdict === 'usable' ? new Date(evidence.at) : key.lastProvenAt,
    lastWrapProofAt: wrapProvenAt ?? key.lastWrapProofAt,
    lastDescribedAt: describedAt ?? key.lastDescribedAt,
    lastMemberId: memberId,
    sampledAt: due ? now : key.sampledAt,
    checksSinceSample: due ? 0 : checks,
  };
  return { finish: { id: key.id, lease, after, now }, sample: due ? { checkedKeyId: key.id, evidence, durationMs, checks } : null };
}

function decideAll({ members, separated, observation }: FinishedObservation, moment: Moment): MemberDecision[] {
  return members.map((member) => {
    const alone = member.configuration.id === separated?.memberId;
    const decision = decideMember(member, alone ? separated.observation : observation, moment);
    return alone ? onItsOwn(decision) : decision;
  });
}

/** A confirmation that stops databases. What was held and is carried out now was asked about when it was held. */
const stops = ({ before, configuration: after }: MemberDecision): boolean =>
  after.mode === 'enforce' && before.validity.state === 'SUSPECT' && after.validity.state === 'INVALID';

const isHeldNow = ({ outcome, before, after }: MemberResult): boolean =>
  outcome === 'applied' && before.validity.state !== 'HELD' && after.validity.state === 'HELD';

const unchanged = ({ before, configuration }: MemberDecision): MemberResult => ({ outcome: 'applied', before, after: configuration });

/** The configuration leaves its key; the verdict that the others do not share goes with it. */
function onItsOwn(decision: MemberDecision): MemberDecision {
  const configuration = { ...decision.configuration, checkedKeyId: aloneId(decision.before.id) };
  return { ...decision, configuration, worthStoring: true };
}
