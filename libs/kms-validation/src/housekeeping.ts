import type { Logger } from '@atrest/platform-logging';
import { BackgroundLoop, type Clock } from '@atrest/platform-time';
import type { Breaker } from './breaker/breaker.js';
import type { CheckHistory } from './check-history.js';
import type { KeyAccess } from './key-access.js';
import type { KeyAccessRequestRepository } from './key-access/key-access-request.repository.js';
import type { KeyConfigurationRepository } from './key-configuration.repository.js';
import type { MonitorMetrics } from './monitor-metrics.js';

/** Three months: what an auditor asks for after a stop is seldom older, and the table stays finite. */
export const HISTORY_DAYS = 90;
const DAY_MS = 86_400_000;
const INTERVAL_MS = 60_000;
const PRUNE_BATCH = 5_000;
const RESEAL_BATCH = 200;

export interface HousekeepingOptions {
  readonly repository: KeyConfigurationRepository;
  readonly history: CheckHistory;
  readonly access: KeyAccess;
  readonly breaker: Breaker;
  readonly requests: KeyAccessRequestRepository;
  readonly metrics: MonitorMetrics;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What is done once a minute beside the checks: credentials are sealed anew, incidents closed, old history and answered requests go, ages are measured. */
export class Housekeeping {
  private readonly loop: BackgroundLoop;
  /** Warned of already, so that a seal that cannot be opened is not logged each minute. */
  private readonly unopened = new Set<string>();

  constructor(private readonly options: HousekeepingOptions) {
    this.loop = new BackgroundLoop({
      name: 'kms-validation-housekeeping',
      intervalMs: INTERVAL_MS,
      run: () => this.run(),
      onError: (error) => options.logger.error({ err: error }, 'housekeeping failed; trying again'),
    });
  }

  start(): void {
    this.loop.start();
  }

  stop(): Promise<void> {
    return this.loop.stop();
  }

  /** One round; `'again'` when more is left than one round may do. */
  async run(): Promise<void | 'again'> {
    const { repository, history, metrics, clock } = this.options;
    await this.reseal();
    await this.options.breaker.closeWhenDecided();
    metrics.oldestProof(await repository.oldestProof(), clock.now());
    const answered = await this.options.requests.prune(new Date(clock.now().getTime() - DAY_MS), PRUNE_BATCH);
    const pruned = await history.prune(new Date(clock.now().getTime() - HISTORY_DAYS * DAY_MS), PRUNE_BATCH);
    return pruned === PRUNE_BATCH || answered === PRUNE_BATCH ? 'again' : undefined;
  }

  private async reseal(): Promise<void> {
    const { repository, access, logger } = this.options;
    let after = '';
    for (;;) {
      const batch = await repository.sealedUnderOtherKeys(access.sealingKeyId, after, RESEAL_BATCH);
      let count = 0;
      for (const { id, sealedCredentials } of batch) {
        const resealed = this.tryReseal(id, sealedCredentials);
        if (resealed === null) continue;
        if ((await repository.reseal(id, sealedCredentials, resealed, access.sealingKeyId)) === 'resealed') count += 1;
      }
      if (count > 0) logger.info({ count }, 'credentials were sealed anew under the current sealing key');
      const last = batch.at(-1);
      if (last === undefined || batch.length < RESEAL_BATCH) return;
      after = last.id;
    }
  }

  private tryReseal(id: string, sealedCredentials: string): string | null {
    try {
      return this.options.access.reseal({ id, sealedCredentials });
    } catch (error) {
      if (!this.unopened.has(id)) this.options.logger.error({ err: error, configurationId: id }, 'credentials cannot be sealed anew');
      this.unopened.add(id);
      return null;
    }
  }
}
