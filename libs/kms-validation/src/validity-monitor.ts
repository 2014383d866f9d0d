import { randomUUID } from 'node:crypto';
import { runWithCorrelation, type Logger } from '@atrest/platform-logging';
import { BackgroundLoop } from '@atrest/platform-time';
import { CheckWriter, type CheckWriterOptions, type FinishedObservation, type MemberResult, type WrittenCheck } from './check-writer.js';
import { mayConcernOneMember, nextInTurn, type CheckedKey, type Member } from './checked-key.js';
import type { ClaimedKey } from './checked-key.repository.js';
import type { KeyAccess } from './key-access.js';
import { checkKey, notBegun, outOfTime, type KeyCheckOptions, type KeyObservation } from './key-check.js';
import { canaryContext, type KeyConfiguration } from './key-configuration.js';
import type { MonitorMetrics } from './monitor-metrics.js';
import type { EffectivePolicies } from './project-policy/effective-policies.js';
import { ProviderCache } from './provider-cache.js';
import { bindingOf } from './providers/bindings.js';
import { needsFreshClient } from './validity-policy.js';

export interface ValidityMonitorOptions
  extends CheckWriterOptions, Pick<KeyCheckOptions, 'observer' | 'retries' | 'timeLimitMs' | 'callLimitMs'> {
  readonly access: KeyAccess;
  readonly policies: EffectivePolicies;
  readonly logger: Logger;
  readonly metrics: MonitorMetrics;
  /** Checks at the same time in this replica. */
  readonly concurrency: number;
}

/** What became of a check that somebody asked for. */
export type CheckNowOutcome =
  | { readonly kind: 'checked'; readonly observation: KeyObservation; readonly configuration: KeyConfiguration }
  | { readonly kind: 'removed' }
  /** Other checks of the configuration went on for as long as a check may take. */
  | { readonly kind: 'busy' };

/** What became of the check of a claimed key. */
type Checked =
  /** This replica is stopping. */
  | { readonly kind: 'abandoned' }
  /** No configuration uses the key any more. */
  | { readonly kind: 'unused' }
  | (WrittenCheck & { readonly finished: FinishedObservation });

/** The longest time in which work that other replicas left behind is found: far below the shortest lease. */
const LOOK_AROUND_MS = 5_000;
/** Claims are at least so far apart: a due configuration that somebody else is just claiming is looked at again then, and many become due meanwhile. */
const SHORTEST_SLEEP_MS = 20;
/** While more is due than may be checked at a time, this share of the slots is claimed for at once. */
const CLAIM_SHARE = 1 / 4;
/** How often a provider is asked what it says of a key: four times a day is enough to warn days ahead, and hardly counts against its quota. */
const DESCRIBE_INTERVAL_MS = 6 * 3_600_000;
/** How often 'try again' looks whether a check that is under way is over. */
const BUSY_POLL_MS = 50;

/**
 * Checks what is due: each key once, for every configuration that uses it. Any number of replicas share the work: each claims with a lease, looks at
 * the key without holding a transaction open, and writes state and event in one transaction, if the configuration is still the one it knew.
 */
export class ValidityMonitor {
  private readonly loop: BackgroundLoop;
  private readonly inFlight = new Set<Promise<void>>();
  private readonly providers = new ProviderCache();
  private readonly stopping = new AbortController();
  private readonly writer: CheckWriter;
  private alarm: { readonly timer: NodeJS.Timeout; readonly at: number } | null = null;
  /** More may be due than was claimed: there were no more slots. */
  private moreDue = false;

  constructor(private readonly options: ValidityMonitorOptions) {
    this.writer = new CheckWriter(options);
    this.loop = new BackgroundLoop({
      name: 'validity-monitor',
      intervalMs: LOOK_AROUND_MS,
      run: () => this.round(),
      onError: (error) => this.options.logger.error({ err: error }, 'due configurations could not be claimed; trying again'),
    });
  }

  start(): void {
    this.loop.start();
  }

  /** Something may be due sooner than was known. */
  wake(): void {
    this.loop.wake();
  }

  /** Gives back what is claimed, without a result, and ends. */
  async stop(): Promise<void> {
    this.stopping.abort();
    clearTimeout(this.alarm?.timer);
    await this.loop.stop();
    await Promise.all(this.inFlight);
    this.providers.close();
  }

  /** Checks everything that is due by now; answers how many checks that were. */
  async runDue(): Promise<number> {
    let begun = 0;
    for (;;) {
      const free = this.options.concurrency - this.inFlight.size;
      const round = await this.claimAndBegin();
      begun += round.begun;
      if (round.claimed < free) break;
      await Promise.race(this.inFlight);
    }
    await Promise.all(this.inFlight);
    return begun;
  }

  /** Checks the key of one configuration now, with its own canary, through the same claim and the same policy as a check that is due. */
  async checkNow(configurationId: string): Promise<CheckNowOutcome> {
    const deadline = performance.now() + this.options.timeLimitMs;
    do {
      const claim = await this.options.keys.claimOf(configurationId, this.options.clock.now(), this.newLease());
      if (claim.kind === 'removed') return claim;
      if (claim.kind === 'claimed') {
        const checked = await this.check(claim.claimed, configurationId);
        const result = resultOf(checked, configurationId);
        if (result?.outcome === 'removed') return { kind: 'removed' };
        if (result?.outcome === 'applied') {
          this.wake();
          return { kind: 'checked', observation: result.observation, configuration: result.after };
        }
      } else {
        // What runs may have begun before the key was repaired: it is waited for, and then the key is looked at again.
        await this.options.retries.sleep(BUSY_POLL_MS);
      }
    } while (performance.now() < deadline && !this.stopping.signal.aborted);
    return { kind: 'busy' };
  }

  private newLease(): { owner: string; until: Date } {
    // Twice the limit of a check: clocks of replicas may differ by as much as a check lasts before two of them check the same.
    return { owner: this.options.observer, until: new Date(this.options.clock.now().getTime() + 2 * this.options.timeLimitMs) };
  }

  private async round(): Promise<void> {
    const free = this.options.concurrency - this.inFlight.size;
    const { claimed } = await this.claimAndBegin();
    this.moreDue = claimed >= free;
    // Then there is nothing to wait for but the end of checks.
    if (this.moreDue || this.stopping.signal.aborted) return;
    const due = await this.options.keys.nextDueAt();
    if (due !== null) this.wakeWhenDue(due.getTime());
  }

  /** What is due later than the next look around is found then. */
  private wakeWhenDue(due: number): void {
    const sleepMs = Math.max(SHORTEST_SLEEP_MS, due - this.options.clock.now().getTime());
    const at = performance.now() + sleepMs;
    if (sleepMs >= LOOK_AROUND_MS || this.stopping.signal.aborted || (this.alarm !== null && this.alarm.at <= at)) return;
    clearTimeout(this.alarm?.timer);
    const timer = setTimeout(() => {
      this.alarm = null;
      this.loop.wake();
    }, sleepMs);
    this.alarm = { timer, at };
  }

  /** A check is over. While more is due, several slots are waited for, though not for long: a claim costs about as much as a check. */
  private ended(checked: Checked | null): void {
    if (this.moreDue) {
      if (this.options.concurrency - this.inFlight.size >= this.options.concurrency * CLAIM_SHARE) this.loop.wake();
      else this.wakeWhenDue(0);
    } else if (checked?.kind === 'applied') {
      this.wakeWhenDue(Math.min(...checked.members.map(({ after }) => after.nextCheckAt.getTime())));
    }
  }

  private async claimAndBegin(): Promise<{ claimed: number; begun: number }> {
    const free = this.options.concurrency - this.inFlight.size;
    if (free <= 0 || this.stopping.signal.aborted) return { claimed: 0, begun: 0 };
    const claimed = await this.options.keys.claimDue(free, this.options.clock.now(), this.newLease());
    const using = await this.membersOf(claimed.map(({ key }) => key.id));
    for (const claim of claimed) {
      const members = using.get(claim.key.id);
      if (members === undefined) await this.forget(claim);
      else this.begin(claim, members);
    }
    return { claimed: claimed.length, begun: using.size };
  }

  /** The last configuration that used the key is gone, or uses another. */
  private async forget({ key, lease }: ClaimedKey): Promise<void> {
    this.providers.drop(key.id);
    await this.options.keys.release(key.id, lease);
    await this.options.keys.forgetUnused(key.id);
  }

  private begin(claimed: ClaimedKey, members: readonly Member[]): void {
    this.options.metrics.began(claimed.key.nextCheckAt, this.options.clock.now());
    const task = runWithCorrelation({ correlationId: randomUUID() }, () => this.checkFor(claimed, members, null))
      .catch((error: unknown) => {
        // The lease ends by itself and the check is made again, here or elsewhere.
        this.options.logger.error({ err: error, checkedKeyId: claimed.key.id }, 'the result of a check could not be written');
        return null;
      })
      .then((checked) => {
        this.inFlight.delete(task);
        this.ended(checked);
      });
    this.inFlight.add(task);
  }

  private async membersOf(checkedKeyIds: readonly string[]): Promise<Map<string, Member[]>> {
    const members = new Map<string, Member[]>();
    const configurations = await this.options.repository.usingKeys(checkedKeyIds);
    const policies = await this.options.policies.of(configurations);
    for (const configuration of configurations) {
      const others = members.get(configuration.checkedKeyId) ?? [];
      others.push({ configuration, policy: policies(configuration) });
      members.set(configuration.checkedKeyId, others);
    }
    return members;
  }

  private async check(claimed: ClaimedKey, configurationId: string): Promise<Checked> {
    return this.checkFor(claimed, (await this.membersOf([claimed.key.id])).get(claimed.key.id) ?? [], configurationId);
  }

  /** Looks at a claimed key, with the canary of the member that asks, or whose turn it is, and writes what follows for all members. */
  private async checkFor(claimed: ClaimedKey, members: readonly Member[], asking: string | null): Promise<Checked> {
    const { key, lease } = claimed;
    const { keys, metrics } = this.options;
    const member = members.find(({ configuration }) => configuration.id === asking) ?? nextInTurn(members, key.lastMemberId);
    if (member === undefined) {
      await this.forget(claimed);
      return { kind: 'unused' };
    }
    const beganAt = performance.now();
    const fresh = members.some(({ configuration }) => needsFreshClient(configuration.validity));
    const seen = await this.observe(member, key, fresh);
    const other =
      seen !== null && mayConcernOneMember(seen.evidence)
        ? nextInTurn(
            members.filter((each) => each !== member),
            key.lastMemberId,
          )
        : undefined;
    const second = other === undefined ? null : await this.observe(other, key, true);
    if (seen === null || (other !== undefined && second === null)) {
      await keys.release(key.id, lease);
      return { kind: 'abandoned' };
    }
    const durationMs = performance.now() - beganAt;
    metrics.checked(key.provider, seen, durationMs / 1_000);
    const disagree = other !== undefined && second !== null && second.evidence.verdict !== 'definitive';
    const finished: FinishedObservation = {
      key,
      lease,
      members,
      durationMs,
      memberId: disagree ? other.configuration.id : member.configuration.id,
      observation: disagree ? second : seen,
      separated: disagree && second.evidence.verdict === 'usable' ? { memberId: member.configuration.id, observation: seen } : null,
    };
    const written = await this.writer.write(finished);
    this.report(finished, written);
    return { ...written, finished };
  }

  /** Looks at the key with one member's canary; null when this replica is stopping. */
  private async observe({ configuration, policy }: Member, checked: CheckedKey, fresh: boolean): Promise<KeyObservation | null> {
    const { access, clock, observer, timeLimitMs, callLimitMs, retries, logger } = this.options;
    const { id, checkedKeyId, provider, settings, canary, projectId } = configuration;
    let client;
    try {
      const key = await access.reference(configuration);
      client = this.providers.get(checkedKeyId, fresh, () => access.connect(key));
    } catch (error) {
      logger.error({ err: error, configurationId: id }, 'the stored credentials cannot be used');
      return notBegun(error, clock.now(), observer);
    }
    const since = (moment: Date): number => clock.now().getTime() - moment.getTime();
    const wrapDue = since(checked.lastWrapProofAt) >= policy.wrapProofIntervalMs;
    const describeDue = since(checked.lastDescribedAt) >= DESCRIBE_INTERVAL_MS;
    const toCheck = { binding: bindingOf(provider), settings, canary, context: canaryContext(projectId), wrapDue, describeDue };
    return this.withinLimit(checkKey(client, toCheck, { clock, observer, timeLimitMs, callLimitMs, retries }), () => {
      this.providers.drop(checkedKeyId);
      return outOfTime(timeLimitMs, clock.now(), observer);
    });
  }

  private async withinLimit(check: Promise<KeyObservation>, late: () => KeyObservation): Promise<KeyObservation | null> {
    const { signal } = this.stopping;
    let timer: NodeJS.Timeout | undefined;
    let stop: (() => void) | undefined;
    const ended = new Promise<'late' | 'stopping'>((resolve) => {
      timer = setTimeout(() => resolve('late'), this.options.timeLimitMs);
      stop = () => resolve('stopping');
      if (signal.aborted) stop();
      else signal.addEventListener('abort', stop, { once: true });
    });
    try {
      const first = await Promise.race([check, ended]);
      if (first === 'stopping') return null;
      return first === 'late' ? late() : first;
    } finally {
      clearTimeout(timer);
      if (stop) signal.removeEventListener('abort', stop);
    }
  }

  private report({ key, observation, separated }: FinishedObservation, written: WrittenCheck): void {
    const { logger, metrics } = this.options;
    const { evidence } = observation;
    if (separated !== null) {
      const facts = { checkedKeyId: key.id, configurationId: separated.memberId, evidence: separated.observation.evidence };
      logger.warn(facts, 'a verdict on one configuration does not hold for the others on its key; it is checked alone from now on');
    }
    if (written.kind === 'lease-lost') {
      metrics.ended('lease-lost');
      logger.info({ checkedKeyId: key.id, evidence, outcome: 'lease-lost' }, 'the result of a check was discarded');
      return;
    }
    metrics.ended('applied');
    for (const result of written.members) this.reportMember(result, evidence);
  }

  private reportMember({ outcome, before, after }: MemberResult, evidence: KeyObservation['evidence']): void {
    const { logger } = this.options;
    const facts = {
      configurationId: before.id,
      projectId: before.projectId,
      evidence,
      from: before.validity.state,
      to: after.validity.state,
    };
    if (outcome !== 'applied') logger.info({ ...facts, outcome }, 'the result of a check was discarded');
    else if (facts.from !== facts.to) logger.warn(facts, 'a key configuration changed its state');
    else logger.debug(facts, 'key checked');
  }
}

/** What a check said and did about one configuration. */
function resultOf(checked: Checked, configurationId: string): (MemberResult & { readonly observation: KeyObservation }) | undefined {
  if (checked.kind !== 'applied') return undefined;
  const result = checked.members.find(({ before }) => before.id === configurationId);
  if (result === undefined) return undefined;
  const { separated, observation } = checked.finished;
  return { ...result, observation: separated?.memberId === configurationId ? separated.observation : observation };
}
