import {
  checkCanary,
  KeySettingsRefusedError,
  proveKey,
  withTransientRetries,
  type KeyProvider,
  type TransientRetryOptions,
  type Verdict,
} from '@atrest/kms';
import type { Clock } from '@atrest/platform-time';
import { toEvidence } from './key-check.js';
import { RoleNotAuthorisedError, type KeyAccess, type KeyReference } from './key-access.js';
import { canaryContext, type KeyConfiguration, type ProvenSettings } from './key-configuration.js';
import { bindingOf } from './providers/bindings.js';
import type { ProviderBinding } from './providers/provider-binding.js';
import { done, refusal, refused, type Outcome, type Refused } from './refusal.js';
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
  async proveNew(projectId: string, key: KeyReference): Promise<Outcome<Proven>> {
    const binding = bindingOf(key.provider);
    return this.withClient(key, async (client) => {
      const proof = await this.retrying(
        () => proveKey(client, canaryContext(projectId)),
        ({ verdict }) => verdict,
        2 * this.options.callLimitMs,
      );
      if (proof.canary === null) return refused(refuseVerdict(binding, proof.verdict));
      return done({ canary: proof.canary, evidence: this.evidence(proof.verdict) });
    });
  }

  /** New credentials must reach the key (wrap and unwrap) and what it wrapped already. The canary stays the one that is stored. */
  async proveCredentials(current: KeyConfiguration, key: KeyReference): Promise<Outcome<Proven>> {
    const proven = await this.proveNew(current.projectId, key);
    if (proven.kind === 'refused') return proven;
    return this.withClient(key, async (client) => {
      const verdict = await this.canaryVerdict(client, current);
      if (verdict.kind !== 'usable') return refused(refuseOtherKey(bindingOf(key.provider), verdict));
      return done({ canary: current.canary, evidence: this.evidence(verdict) });
    });
  }

  /** The present key must be usable right now: whatever its state says was true some time ago. */
  async provePresent(current: KeyConfiguration): Promise<Outcome<null>> {
    let key: KeyReference;
    try {
      key = await this.options.access.reference(current);
    } catch (error) {
      return notAuthorised(error);
    }
    return this.withClient(key, async (client) => {
      const verdict = await this.canaryVerdict(client, current);
      return verdict.kind === 'usable' ? done(null) : refused(refuseWithoutPresentKey(verdict));
    });
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

  private async withClient<Value>(key: KeyReference, use: (client: KeyProvider) => Promise<Outcome<Value>>): Promise<Outcome<Value>> {
    let client: KeyProvider;
    try {
      client = this.options.access.connect(key);
    } catch (error) {
      return settingsRefused(error, bindingOf(key.provider));
    }
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

/** What the adapter itself refuses before it asks anybody. Anything else is a fault of ours. */
function settingsRefused(error: unknown, { attribute, methods, refusals }: ProviderBinding): Refused {
  if (!(error instanceof KeySettingsRefusedError)) throw error;
  const isSecret = methods.some(({ secret }) => secret === error.field);
  const code = isSecret ? refusals.CREDENTIALS_INVALID[0] : 'INVALID_ATTRIBUTE';
  return refused(refusal(code, `${attribute}.${error.message}`, [error.field]));
}

/** A role that is named but not authorised is the project's to repair; anything else is a fault of ours. */
export function notAuthorised(error: unknown): Refused {
  if (!(error instanceof RoleNotAuthorisedError)) throw error;
  const detail = `The role ${error.roleId} is not authorised in this project. Authorise it with PATCH …/cloudProviderAccess/${error.roleId} first.`;
  return refused(refusal('CLOUD_PROVIDER_ACCESS_ROLE_NOT_AUTHORIZED', detail, [error.roleId]));
}
