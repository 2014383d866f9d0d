import { Metrics } from '@atrest/platform-metrics';
import { systemClock } from '@atrest/platform-time';
import { startDevelopmentGoogleCloudKms, type DevelopmentGoogleCloudKms } from '@atrest/testing';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import { CallLimiters } from '../call-limiter.js';
import { proveKey, type Canary } from '../canary.js';
import { sleepFor } from '../transient-retries.js';
import type { Verdict } from '../verdict.js';
import { GcpConnections, type GcpEndpoint } from './gcp-connections.js';
import { GcpKeyProvider, gcpRequestQuotaOf, type GcpKeyProviderOptions, type GcpKeySettings } from './gcp-key-provider.js';

export const context = { projectId: '65f0c0ffee65f0c0ffee65f0', purpose: 'canary' };
export const short = (verdict: Verdict): string => `${verdict.kind} ${verdict.reason}`;
export const gcpLimiters = (): CallLimiters => new CallLimiters({ clock: systemClock, sleep: sleepFor, quotaOf: gcpRequestQuotaOf });

/** A development Google Cloud KMS with an account and, for each test, a key; whatever a test opens is closed after it. */
export interface GcpStage {
  readonly kms: DevelopmentGoogleCloudKms;
  readonly account: Readonly<Record<string, string>>;
  readonly key: { readonly key: string; readonly version: string };
  /** A provider for the key; with `at`, which overrides where Google Cloud is, it has a connection of its own. */
  open(settings?: Partial<GcpKeySettings>, options?: Partial<GcpKeyProviderOptions>, at?: Partial<GcpEndpoint>): GcpKeyProvider;
  /** The canary of a key that works. */
  proven(provider: GcpKeyProvider): Promise<Canary>;
  /** The verdict on wrapping and unwrapping now. */
  proof(provider: GcpKeyProvider): Promise<string>;
}

/** Sets a stage up for the suite around it. After each test no rejection may have stayed unhandled: it would have ended a service. */
export function gcpStage(): GcpStage {
  const limiters = gcpLimiters();
  const metrics = new Metrics();
  const opened: { close(): void }[] = [];
  const unhandled: unknown[] = [];
  const note = (reason: unknown): void => {
    unhandled.push(reason);
  };
  let kms: DevelopmentGoogleCloudKms;
  let account: Readonly<Record<string, string>>;
  let key: GcpStage['key'];
  let connections: GcpConnections;

  beforeAll(async () => {
    process.on('unhandledRejection', note);
    kms = await startDevelopmentGoogleCloudKms();
    account = await kms.createServiceAccount();
    connections = new GcpConnections(kms.endpoint);
  });
  beforeEach(() => {
    key = kms.createKey();
  });
  afterEach(async () => {
    for (const one of opened.splice(0)) one.close();
    kms.clearFaults();
    kms.allow();
    // A rejection counts as unhandled once the turn of the event loop in which it happened is over.
    await new Promise(setImmediate);
    // oxlint-disable-next-line vitest/no-standalone-expect -- a hook of every test
    expect(unhandled).toEqual([]);
  });
  afterAll(async () => {
    connections.close();
    await kms.close();
    process.off('unhandledRejection', note);
  });

  const proof = async (provider: GcpKeyProvider): Promise<string> => short((await proveKey(provider, context)).verdict);
  return {
    get kms() {
      return kms;
    },
    get account() {
      return account;
    },
    get key() {
      return key;
    },
    open(settings = {}, options = {}, at) {
      const place = at === undefined ? { connections } : { endpoint: { ...kms.endpoint, ...at } };
      const provider = new GcpKeyProvider(
        { keyVersionResourceID: key.version, serviceAccountKey: JSON.stringify(account), ...settings },
        { ...place, limiters, metrics, ...options },
      );
      opened.push(provider);
      return provider;
    },
    async proven(provider) {
      const { verdict, canary } = await proveKey(provider, context);
      expect(verdict).toMatchObject({ kind: 'usable' });
      return canary!;
    },
    proof,
  };
}
