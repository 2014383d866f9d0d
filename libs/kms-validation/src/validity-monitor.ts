import { randomUUID } from 'node:crypto';
import { runWithCorrelation, type Logger } from '@atrest/platform-logging';
import type { EventPublisher } from '@atrest/platform-messaging';
import type { ServiceDatabase } from '@atrest/platform-persistence';
import { BackgroundLoop, type Clock } from '@atrest/platform-time';
import type { CheckHistory } from './check-history.js';
import type { KeyAccess } from './key-access.js';
import { checkKey, notBegun, outOfTime, type KeyCheckOptions, type KeyObservation } from './key-check.js';
import { applyDecision, canaryContext, type KeyConfiguration } from './key-configuration.js';
import type { ApplyOutcome, Claimed, KeyConfigurationRepository } from './key-configuration.repository.js';
import type { MonitorMetrics } from './monitor-metrics.js';
import type { ValidityPolicy } from './policy-settings.js';
import { ProviderCache } from './provider-cache.js';
import { decide, longestWaitMs, needsFreshClient } from './validity-policy.js';

export interface ValidityMonitorOptions extends Pick<KeyCheckOptions, 'observer' | 'retries' | 'timeLimitMs' | 'callLimitMs'> {
  readonly database: ServiceDatabase;
  readonly repository: KeyConfigurationRepository;
  readonly history: CheckHistory;
  readonly publisher: EventPublisher;
  readonly access: KeyAccess;
  readonly policy: ValidityPolicy;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MonitorMetrics;
  /** In [0, 1); spreads due times. */
  readonly random: () => number;
  /** Checks at the same time in this replica. */
  readonly concurrency: number;
}

/** What became of a check that somebody asked for. */
export type CheckNowOutcome =
  | { readonly kind: 'checked'; readonly observation: KeyObservation; readonly configuration: KeyConfiguration }
  | { readonly kind: 'removed' }
  /** Other checks of the configuration went on for as long as a check may take. */
  | { readonly kind: 'busy' };

type Checked = {
  readonly outcome: ApplyOutcome | 'abandoned';
  readonly observation: KeyObservation | null;
  readonly after: KeyConfiguration;
};

/** The longest time in which work that other replicas left behind is found: far below the shortest lease. */
const LOOK_AROUND_MS = 5_000;
/** A due configuration that somebody else is just claiming is looked at again after this time. */
const SHORTEST_SLEEP_MS = 20;
/** How often 'try again' looks whether a check that is under way is over. */
const BUSY_POLL_MS = 50;

/**
 * Checks what is due. Any number of replicas share the work: each claims with a lease, looks at the key without holding a transaction
 * open, and writes state and event in one transaction, if the configuration is still the one it claimed.
 */
export class ValidityMonitor {
  private readonly loop: BackgroundLoop;
  private readonly inFlight = new Set<Promise<void>>();
  private readonly providers = new ProviderCache();
  private readonly stopping = new AbortController();
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly options: ValidityMonitorOptions) {
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
    clearTimeout(this.timer);
    await this.loop.stop();
    await Promise.all(this.inFlight);
    this.providers.close();
  }

  /** Checks everything that is due by now; answers how many checks that were. */
  async runDue(): Promise<number> {
    let begun = 0;
    for (;;) {
      const free = this.options.concurrency - this.inFlight.size;
      const claimed = await this.claimAndBegin();
      begun += claimed;
      if (claimed < free) break;
      await Promise.race(this.inFlight);
    }
    await Promise.all(this.inFlight);
    return begun;
  }

  /** Checks one configuration now, through the same claim and the same policy as a check that is due. */
  async checkNow(configurationId: string): Promise<CheckNowOutcome> {
    const deadline = performance.now() + this.options.timeLimitMs;
    do {
      const claim = await this.options.repository.claimNow(configurationId, this.options.clock.now(), this.newLease());
      if (claim.kind === 'removed') return claim;
      if (claim.kind === 'claimed') {
        const { outcome, observation, after } = await this.check(claim.claimed);
        if (outcome === 'removed') return { kind: 'removed' };
        if (outcome === 'applied' && observation) {
          this.wake();
          return { kind: 'checked', observation, configuration: after };
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
    await this.claimAndBegin();
    clearTimeout(this.timer);
    // With every slot taken there is nothing to wait for but the end of a check, which wakes the loop.
    if (this.inFlight.size >= this.options.concurrency || this.stopping.signal.aborted) return;
    const due = await this.options.repository.nextDueAt();
    if (due === null) return;
    const sleepMs = Math.max(SHORTEST_SLEEP_MS, due.getTime() - this.options.clock.now().getTime());
    if (sleepMs < LOOK_AROUND_MS) this.timer = setTimeout(() => this.loop.wake(), sleepMs);
  }

  private async claimAndBegin(): Promise<number> {
    const free = this.options.concurrency - this.inFlight.size;
    if (free <= 0 || this.stopping.signal.aborted) return 0;
    const now = this.options.clock.now();
    const latest = new Date(now.getTime() + longestWaitMs(this.options.policy));
    const claimed = await this.options.repository.claimDue(free, now, latest, this.newLease());
    for (const claim of claimed) this.begin(claim);
    return claimed.length;
  }

  private begin(claimed: Claimed): void {
    this.options.metrics.began(claimed.configuration.nextCheckAt, this.options.clock.now());
    const task = runWithCorrelation({ correlationId: randomUUID() }, () => this.check(claimed))
      .then(() => undefined)
      .catch((error: unknown) => {
        // The lease ends by itself and the check is made again, here or elsewhere.
        this.options.logger.error({ err: error, configurationId: claimed.configuration.id }, 'the result of a check could not be written');
      })
      .finally(() => {
        this.inFlight.delete(task);
        this.loop.wake();
      });
    this.inFlight.add(task);
  }

  private async check({ configuration, lease }: Claimed): Promise<Checked> {
    const beganAt = performance.now();
    const observation = await this.observe(configuration);
    if (observation === null) {
      await this.options.repository.release(configuration.id, lease);
      return { outcome: 'abandoned', observation, after: configuration };
    }
    const durationMs = performance.now() - beganAt;
    this.options.metrics.checked(configuration.provider, observation, durationMs / 1_000);
    const { outcome, after } = await this.apply({ configuration, lease }, observation, durationMs);
    this.options.metrics.ended(outcome);
    this.report(configuration, after, observation, outcome);
    return { outcome, observation, after };
  }

  /** Looks at the key; null when this replica is stopping. */
  private async observe(configuration: KeyConfiguration): Promise<KeyObservation | null> {
    const { access, clock, observer, policy, timeLimitMs, callLimitMs, retries, logger } = this.options;
    const { id, revision, validity, settings, canary, projectId } = configuration;
    let provider;
    try {
      provider = this.providers.get(id, revision, needsFreshClient(validity), () => access.connect(configuration));
    } catch (error) {
      logger.error({ err: error, configurationId: id }, 'the stored credentials cannot be opened');
      return notBegun(error, clock.now(), observer);
    }
    const wrapDue = clock.now().getTime() - configuration.lastWrapProofAt.getTime() >= policy.wrapProofIntervalMs;
    const key = { customerMasterKeyID: settings.customerMasterKeyID, canary, context: canaryContext(projectId), wrapDue };
    return this.withinLimit(checkKey(provider, key, { clock, observer, timeLimitMs, callLimitMs, retries }), () => {
      this.providers.drop(id);
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

  private async apply(
    { configuration, lease }: Claimed,
    observation: KeyObservation,
    durationMs: number,
  ): Promise<{ outcome: ApplyOutcome; after: KeyConfiguration }> {
    const { database, repository, history, publisher, clock, random, policy } = this.options;
    const decision = decide(configuration.validity, observation, { now: clock.now(), random: random() }, policy);
    const { configuration: after, publications } = applyDecision(configuration, decision, observation.wrapProvenAt);
    const outcome = await database.transaction(async (tx) => {
      const applied = await repository.applyCheck(tx, configuration, after, lease);
      if (applied !== 'applied') return applied;
      const { evidence } = observation;
      const stateAfter = after.validity.state;
      await history.append(tx, { configurationId: configuration.id, revision: after.revision, evidence, durationMs, stateAfter });
      for (const { definition, data } of publications) await publisher.publish(tx, definition, data);
      return applied;
    });
    return { outcome, after: outcome === 'applied' ? after : configuration };
  }

  private report(before: KeyConfiguration, after: KeyConfiguration, { evidence }: KeyObservation, outcome: ApplyOutcome): void {
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
