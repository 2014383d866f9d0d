import { checkCanary, proveKey, withTransientRetries, type KeyProvider, type TransientRetryOptions, type Verdict } from '@atrest/kms';
import type { Clock } from '@atrest/platform-time';
import { toEvidence } from './key-check.js';
import type { KeyAccess } from './key-access.js';
import { canaryContext, type AwsCredentials, type KeyConfiguration, type ProvenSettings } from './key-configuration.js';
import type { AwsKmsSettings } from './aws-kms-settings.js';
import { done, refused, type Outcome } from './refusal.js';
import { refuseOtherKey, refuseVerdict, refuseWithoutPresentKey } from './verdict-refusals.js';

/** What a proof of new settings gives; where they are stored is decided later. */
export type Proven = Pick<ProvenSettings, 'canary' | 'evidence'>;

export interface SettingsProofOptions {
  readonly access: KeyAccess;
  readonly clock: Clock;
  readonly observer: string;
  readonly timeLimitMs: number;
  readonly callLimitMs: number;
  readonly retries: Pick<TransientRetryOptions, 'sleep' | 'random' | 'tries' | 'baseMs'>;
}

/** Proves settings before they are stored. Every question goes through a new client. */
export class SettingsProof {
  constructor(private readonly options: SettingsProofOptions) {}

  /** Wraps and unwraps with settings that are not stored yet. */
  async proveNew(projectId: string, settings: AwsKmsSettings, credentials: AwsCredentials): Promise<Outcome<Proven>> {
    return this.withClient(
      () => this.options.access.connectWith(settings, credentials),
      async (client) => {
        const proof = await this.retrying(
          () => proveKey(client, canaryContext(projectId)),
          ({ verdict }) => verdict,
          2 * this.options.callLimitMs,
        );
        if (proof.canary === null) return refused(refuseVerdict(proof.verdict));
        return done({ canary: proof.canary, evidence: this.evidence(proof.verdict) });
      },
    );
  }

  /** New credentials must reach the key (wrap and unwrap) and what it wrapped already. The canary stays the one that is stored. */
  async proveCredentials(current: KeyConfiguration, settings: AwsKmsSettings, credentials: AwsCredentials): Promise<Outcome<Proven>> {
    const proven = await this.proveNew(current.projectId, settings, credentials);
    if (proven.kind === 'refused') return proven;
    const verdict = await this.withClient(
      () => this.options.access.connectWith(settings, credentials),
      (client) => this.canaryVerdict(client, current),
    );
    if (verdict.kind !== 'usable') return refused(refuseOtherKey(verdict));
    return done({ canary: current.canary, evidence: this.evidence(verdict) });
  }

  /** The present key must be usable right now: whatever its state says was true some time ago. */
  async provePresent(current: KeyConfiguration): Promise<Outcome<null>> {
    const verdict = await this.withClient(
      () => this.options.access.connect(current),
      (client) => this.canaryVerdict(client, current),
    );
    return verdict.kind === 'usable' ? done(null) : refused(refuseWithoutPresentKey(verdict));
  }

  private canaryVerdict(client: KeyProvider, current: KeyConfiguration): Promise<Verdict> {
    return this.retrying(
      () => checkCanary(client, current.canary, canaryContext(current.projectId)),
      (verdict) => verdict,
      this.options.callLimitMs,
    );
  }

  private retrying<Result>(attempt: () => Promise<Result>, verdictOf: (result: Result) => Verdict, tryMs: number): Promise<Result> {
    const { clock, retries, timeLimitMs } = this.options;
    return withTransientRetries(attempt, verdictOf, { clock, ...retries, budgetMs: timeLimitMs, tryMs });
  }

  private async withClient<Result>(connect: () => KeyProvider, use: (client: KeyProvider) => Promise<Result>): Promise<Result> {
    const client = connect();
    try {
      return await use(client);
    } finally {
      client.close();
    }
  }

  private evidence(verdict: Verdict) {
    return toEvidence(verdict, this.options.clock.now(), this.options.observer);
  }
}
