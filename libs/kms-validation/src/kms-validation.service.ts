import { accessConsumes, accessHandlers, accessMigrations, accessModule, AccessStore, type SealingKeys } from '@atrest/platform-auth';
import { sleepFor, type TransientRetryOptions } from '@atrest/kms';
import { EventPublisher, Messaging, messagingMigrations } from '@atrest/platform-messaging';
import { ServiceDatabase } from '@atrest/platform-persistence';
import type { Service, ServiceDependencies } from '@atrest/platform-service';
import { AccessRoleRepository } from './access-roles/access-role.repository.js';
import type { InstallationIdentities } from './access-roles/access-role.js';
import { CloudProviderAccess, type AwsRoleProof } from './access-roles/cloud-provider-access.js';
import { Breaker } from './breaker/breaker.js';
import { compileBreakerLimits, type BreakerLimits } from './breaker/breaker-policy.js';
import { CheckHistory } from './check-history.js';
import { CHANGED_CHANNEL, EncryptionAtRestUseCases } from './encryption-at-rest.js';
import { Housekeeping } from './housekeeping.js';
import { CheckedKeyRepository } from './checked-key.repository.js';
import { KeyAccess, type ProviderFactories } from './key-access.js';
import { KeyAccessAnswers } from './key-access/key-access-answers.js';
import { keyAccessConsumes, keyAccessHandlers, keyAccessIgnores, KEY_ACCESS_CHANNEL } from './key-access/key-access-handlers.js';
import { KeyAccessMetrics } from './key-access/key-access-metrics.js';
import { KeyAccessRequestRepository } from './key-access/key-access-request.repository.js';
import { KeyConfigurationRepository } from './key-configuration.repository.js';
import { kmsValidationModule } from './kms-validation.module.js';
import { KeyConfigurations1795392100000 } from './migrations/1795392100000-key-configurations.js';
import { CheckedKeys1795480500000 } from './migrations/1795480500000-checked-keys.js';
import { AccessRoles1795480700000 } from './migrations/1795480700000-access-roles.js';
import { KeyProspects1795480800000 } from './migrations/1795480800000-key-prospects.js';
import { MissingKeys1795480900000 } from './migrations/1795480900000-missing-keys.js';
import { KeyAccessRequests1795481200000 } from './migrations/1795481200000-key-access-requests.js';
import { ValidityPolicies1795480600000 } from './migrations/1795480600000-validity-policies.js';
import { MonitorMetrics } from './monitor-metrics.js';
import { compileValidityPolicy, type ValidityPolicy } from './policy-settings.js';
import { ClusterProjection } from './projections/cluster-projection.js';
import { projectionConsumes, projectionHandlers, projectionIgnores } from './projections/handlers.js';
import { MissingKeys } from './projections/missing-keys.js';
import { ProjectProjection } from './projections/project-projection.js';
import { EffectivePolicies } from './project-policy/effective-policies.js';
import { ProjectPolicyRepository } from './project-policy/project-policy.repository.js';
import { ValidityPolicies } from './project-policy/validity-policies.js';
import { fetchShortText, KmsEvents, type PushSources } from './push/kms-events.js';
import { adapters, type AdapterSettings } from './providers/adapters.js';
import { SettingsProof } from './settings-proof.js';
import { ValidityMonitor } from './validity-monitor.js';

export interface KmsValidationOptions extends AdapterSettings {
  /** Seal the credentials of key configurations. */
  readonly sealingKeys: SealingKeys;
  /** The `iss` of access tokens: the same text as `fleet` is given. */
  readonly issuer: string;
  /** Names this replica in evidence, leases and logs. */
  readonly observer: string;
  /** What is left out has its default ({@link compileValidityPolicy}). */
  readonly policy?: Partial<ValidityPolicy>;
  /** Age in days at which owners are reminded to change a key, where their project decided nothing; null: nobody is; 365. */
  readonly rotationReminderDays?: number | null;
  /** When shutdowns are held, because too many configurations fail at once ({@link compileBreakerLimits}). */
  readonly breaker?: Partial<BreakerLimits>;
  /** Make clients for keys in place of the adapters of `@atrest/kms`, by provider. The other settings are the adapters'. */
  readonly providerFactories?: ProviderFactories;
  /** Who this installation is at the cloud providers, for projects that use roles. */
  readonly identities?: InstallationIdentities;
  /** From whom notifications of KMSs are taken; from nobody by default. */
  readonly push?: PushSources;
  /** In place of the way to fetch certificates of Amazon SNS. */
  readonly fetchText?: (url: URL) => Promise<string>;
  /** In place of the adapter's way to try whether a role can be assumed. */
  readonly proveAwsRole?: AwsRoleProof;
  readonly checks?: {
    /** At the same time in this replica; 64. A check mostly waits, and each needs one connection to a KMS. */
    readonly concurrency?: number;
    /** A whole check takes no longer, in milliseconds; 30,000. */
    readonly timeLimitMs?: number;
    /** One request to a KMS takes no longer, in milliseconds; 10,000: what the adapter allows for connecting and answering. */
    readonly callLimitMs?: number;
    readonly retries?: Partial<Pick<TransientRetryOptions, 'sleep' | 'random' | 'tries' | 'baseMs'>>;
  };
}

/** The service, and what its tests and tools reach into. */
export interface KmsValidationService extends Service {
  readonly monitor: ValidityMonitor;
  readonly housekeeping: Housekeeping;
  readonly useCases: EncryptionAtRestUseCases;
  readonly validityPolicies: ValidityPolicies;
  readonly cloudProviderAccess: CloudProviderAccess;
  readonly kmsEvents: KmsEvents;
  readonly keyAccessAnswers: KeyAccessAnswers;
}

/** This service's own tables, without those of messaging and access. */
export const kmsValidationMigrations = [
  KeyConfigurations1795392100000,
  CheckedKeys1795480500000,
  ValidityPolicies1795480600000,
  AccessRoles1795480700000,
  KeyProspects1795480800000,
  MissingKeys1795480900000,
  KeyAccessRequests1795481200000,
];

/** Key configurations and their validity checks (DESIGN: kms-validation), ready to start. Throws `ValidityPolicyError` for an unusable policy. */
export async function createKmsValidationService(
  dependencies: ServiceDependencies,
  options: KmsValidationOptions,
): Promise<KmsValidationService> {
  const policy = compileValidityPolicy(options.policy);
  const { clock, logger, metrics, transport } = dependencies;
  const database = await ServiceDatabase.open({
    ...dependencies.database,
    service: 'kms-validation',
    migrations: [...messagingMigrations, ...accessMigrations, ...kmsValidationMigrations],
    logger,
    metrics,
  });
  const store = new AccessStore(database, clock);
  const publisher = new EventPublisher('kms-validation', clock);
  const repository = new KeyConfigurationRepository(database);
  const history = new CheckHistory(database);
  const projects = new ProjectProjection(database);
  const clusters = new ClusterProjection();
  const keys = new CheckedKeyRepository(database);
  const { factories, proveAwsRole, roleSessions, close: closeAdapters } = adapters({ clock, metrics }, options);
  const roles = new AccessRoleRepository(database);
  const access = new KeyAccess(options.sealingKeys, { ...factories, ...options.providerFactories }, roles);
  const limits = {
    observer: options.observer,
    timeLimitMs: options.checks?.timeLimitMs ?? 30_000,
    callLimitMs: options.checks?.callLimitMs ?? 10_000,
    retries: { sleep: sleepFor, ...options.checks?.retries },
  };
  const monitorMetrics = new MonitorMetrics(metrics);
  const policyRepository = new ProjectPolicyRepository(database, options.rotationReminderDays);
  const policies = new EffectivePolicies(policy, policyRepository);
  const breaker = new Breaker({ database, publisher, limits: compileBreakerLimits(options.breaker), clock });
  const shared = { database, repository, keys, history, publisher, access, roles, policies, breaker, clusters, clock, logger };
  const concurrency = options.checks?.concurrency ?? 64;
  const monitor = new ValidityMonitor({ ...shared, ...limits, metrics: monitorMetrics, random: Math.random, concurrency });
  const requests = new KeyAccessRequestRepository(database);
  const housekeeping = new Housekeeping({ ...shared, requests, metrics: monitorMetrics });
  const keyAccessAnswers = new KeyAccessAnswers({ ...shared, requests, sessions: roleSessions, metrics: new KeyAccessMetrics(metrics) });
  const useCases = new EncryptionAtRestUseCases({
    ...shared,
    projects,
    monitor,
    proof: new SettingsProof({ access, clock, ...limits }),
  });
  const identities = options.identities ?? {};
  const cloudProviderAccess = new CloudProviderAccess({
    database,
    roles,
    projects,
    identities,
    proveAwsRole: options.proveAwsRole ?? proveAwsRole,
    clock,
  });
  const kmsEvents = new KmsEvents({ ...shared, sources: options.push ?? {}, fetchText: options.fetchText ?? fetchShortText });
  const validityPolicies = new ValidityPolicies({ ...shared, policyRepository, projects });
  const missingKeys = new MissingKeys({ repository, publisher, clock });
  const messaging = new Messaging({
    service: 'kms-validation',
    database,
    transport,
    consumes: [...projectionConsumes, ...accessConsumes, ...keyAccessConsumes],
    handlers: [
      ...projectionHandlers({ projects, clusters, repository, keys, policyRepository, roles, missingKeys, publisher, clock }),
      ...accessHandlers(store),
      ...keyAccessHandlers(requests, clock),
    ],
    ignores: [...projectionIgnores, ...keyAccessIgnores],
    clock,
    logger,
    metrics,
  });
  const guard = accessModule({ store, clock, logger, issuer: options.issuer, projects });

  const listeners: (() => Promise<void>)[] = [];
  return {
    name: 'kms-validation',
    module: kmsValidationModule(guard, { useCases, validityPolicies, cloudProviderAccess, kmsEvents }),
    messaging,
    monitor,
    housekeeping,
    useCases,
    validityPolicies,
    cloudProviderAccess,
    kmsEvents,
    keyAccessAnswers,
    async start() {
      await messaging.start();
      listeners.push(
        await database.listen(CHANGED_CHANNEL, () => monitor.wake()),
        await database.listen(KEY_ACCESS_CHANNEL, () => keyAccessAnswers.wake()),
      );
      const now = clock.now();
      await keys.bringForward(new Date(now.getTime() + policy.intervalMs), now);
      monitor.start();
      housekeeping.start();
      keyAccessAnswers.start();
    },
    async stop() {
      for (const end of listeners.splice(0)) await end();
      await Promise.all([monitor.stop(), housekeeping.stop(), keyAccessAnswers.stop()]);
      closeAdapters();
      await messaging.stop();
      await database.close();
    },
    async readiness() {
      const answers = await Promise.all([database.readiness(), messaging.readiness()]);
      return answers.find(({ ok }) => !ok) ?? { ok: true };
    },
  };
}
