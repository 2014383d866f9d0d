import { Metrics } from '@atrest/platform-metrics';
import { systemClock } from '@atrest/platform-time';
import { DevelopmentKeyVault, type ApplicationCredentials, type AzureOperation } from '@atrest/testing';
import { CallLimiters } from '../call-limiter.js';
import { proveKey, type Canary } from '../canary.js';
import { sleepFor } from '../transient-retries.js';
import type { Verdict } from '../verdict.js';
import { AzureKeyProvider, azureRequestQuotaOf, type AzureKeyProviderOptions, type AzureKeySettings } from './azure-key-provider.js';

export const context = { projectId: '65f0c0ffee65f0c0ffee65f0', purpose: 'canary' };
/** The whole quota: a test must not wait for its turn. */
export const limiters = new CallLimiters({ clock: systemClock, sleep: sleepFor, quotaOf: azureRequestQuotaOf, share: 1 });

export const settingsOf = ({ tenantId, clientId, clientSecret }: ApplicationCredentials, keyIdentifier: string): AzureKeySettings => ({
  keyIdentifier,
  environment: 'AZURE',
  tenantId,
  clientId,
  proof: { kind: 'client-secret', clientSecret },
});

export const short = (verdict: Verdict): string => `${verdict.kind} ${verdict.reason}`;

/** A development Key Vault with one application and one key, new for each test, and providers for them. */
export class AzureStage {
  application!: ApplicationCredentials;
  keyId!: string;
  private readonly metrics = new Metrics();
  private readonly opened: AzureKeyProvider[] = [];

  private constructor(readonly azure: DevelopmentKeyVault) {}

  static async start(): Promise<AzureStage> {
    return new AzureStage(await DevelopmentKeyVault.start());
  }

  async reset(): Promise<void> {
    this.azure.clearFaults();
    this.azure.allow();
    this.application = this.azure.createApplication();
    this.keyId = await this.azure.createKey();
  }

  open(settings: Partial<AzureKeySettings> = {}, options: Partial<AzureKeyProviderOptions> = {}): AzureKeyProvider {
    const provider = new AzureKeyProvider(
      { ...settingsOf(this.application, this.keyId), ...settings },
      { limiters, metrics: this.metrics, development: this.azure.route, ...options },
    );
    this.opened.push(provider);
    return provider;
  }

  async proven(provider: AzureKeyProvider): Promise<Canary> {
    const { verdict, canary } = await proveKey(provider, context);
    if (canary === null) throw new Error(`the key is not usable: ${verdict.message}`);
    return canary;
  }

  operationsSince(calls: number): (AzureOperation | null)[] {
    return this.azure
      .calls()
      .slice(calls)
      .map(({ operation }) => operation);
  }

  async close(): Promise<void> {
    for (const provider of this.opened) provider.close();
    await this.azure.close();
  }
}
