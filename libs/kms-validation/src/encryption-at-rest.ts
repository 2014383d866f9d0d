import type { EncryptionAtRest, EncryptionAtRestChange, KeyCheckAnswer, KeyValidityStatus } from '@atrest/contracts';
import { newObjectId } from '@atrest/contracts';
import type { EventPublisher } from '@atrest/platform-messaging';
import { awaitProjection, signalAfterCommit, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import { planAwsKmsChange, type AwsKmsPlan, type AwsKmsSettings } from './aws-kms-settings.js';
import { toEncryptionAtRest, toStatus } from './answers.js';
import type { KeyAccess } from './key-access.js';
import {
  createConfiguration,
  removeConfiguration,
  replaceSettings,
  type Changed,
  type KeyConfiguration,
  type ProvenSettings,
} from './key-configuration.js';
import type { ChangeOutcome, KeyConfigurationRepository } from './key-configuration.repository.js';
import type { ValidityPolicy } from './policy-settings.js';
import type { ClusterProjection } from './projections/cluster-projection.js';
import type { ProjectProjection } from './projections/project-projection.js';
import { done, refusal, refused, type Outcome, type Refused } from './refusal.js';
import type { Proven, SettingsProof } from './settings-proof.js';
import type { ValidityMonitor } from './validity-monitor.js';

/** Tells the monitors of all replicas that something may be due sooner. */
export const CHANGED_CHANNEL = 'key-configurations';

export interface EncryptionAtRestOptions {
  readonly database: ServiceDatabase;
  readonly repository: KeyConfigurationRepository;
  readonly projects: ProjectProjection;
  readonly clusters: ClusterProjection;
  readonly publisher: EventPublisher;
  readonly access: KeyAccess;
  readonly proof: SettingsProof;
  readonly monitor: ValidityMonitor;
  readonly policy: ValidityPolicy;
  readonly clock: Clock;
}

/** What a project can do with its key configurations. New settings are proven before they are stored, and written only over what they were compared with. */
export class EncryptionAtRestUseCases {
  constructor(private readonly options: EncryptionAtRestOptions) {}

  async read(projectId: string): Promise<Outcome<EncryptionAtRest>> {
    if (!(await this.projectExists(projectId))) return refused(projectNotFound(projectId));
    return done(toEncryptionAtRest(await this.options.repository.find(projectId)));
  }

  async change(projectId: string, change: EncryptionAtRestChange): Promise<Outcome<EncryptionAtRest>> {
    if (!(await this.projectExists(projectId))) return refused(projectNotFound(projectId));
    const unsupported = refuseUnsupported(change);
    if (unsupported) return unsupported;
    const current = await this.options.repository.find(projectId);
    const plan = planAwsKmsChange(current?.settings ?? null, change.awsKms);
    const carriedOut = await this.carryOut(projectId, current, plan);
    return carriedOut.kind === 'refused' ? carriedOut : done(toEncryptionAtRest(carriedOut.value));
  }

  async status(projectId: string): Promise<Outcome<KeyValidityStatus>> {
    const found = await this.configured(projectId);
    return found.kind === 'refused' ? found : done(toStatus(found.value, this.options.policy));
  }

  /** 'Try again': looks now, through the same claim and the same policy as a check that is due. */
  async check(projectId: string): Promise<Outcome<KeyCheckAnswer>> {
    const found = await this.configured(projectId);
    if (found.kind === 'refused') return found;
    const outcome = await this.options.monitor.checkNow(found.value.id);
    switch (outcome.kind) {
      case 'checked': {
        const { verdict, reason } = outcome.observation.evidence;
        return done({ ...toStatus(outcome.configuration, this.options.policy), verdict, reason });
      }
      case 'removed':
        return refused(notEnabled(projectId));
      case 'busy':
        return refused(refusal('SERVICE_UNAVAILABLE', 'Another check of this key is under way and does not end. Try again.'));
      default:
        return outcome satisfies never;
    }
  }

  private async carryOut(projectId: string, current: KeyConfiguration | null, plan: AwsKmsPlan): Promise<Outcome<KeyConfiguration | null>> {
    switch (plan.kind) {
      case 'refused':
        return plan;
      case 'nothing':
        return done(current);
      case 'create':
        return this.create(projectId, plan.settings, plan.secretAccessKey);
      case 'remove':
        return this.remove(known(current));
      case 'replace-credentials':
        return this.replaceCredentials(known(current), plan.settings, plan.secretAccessKey);
      case 'replace-key':
        return this.replaceKey(known(current), plan.settings, plan.secretAccessKey);
      default:
        return plan satisfies never;
    }
  }

  private async create(projectId: string, settings: AwsKmsSettings, secretAccessKey: string): Promise<Outcome<KeyConfiguration>> {
    const credentials = { accessKeyId: settings.accessKeyID, secretAccessKey };
    const proven = await this.options.proof.proveNew(projectId, settings, credentials);
    if (proven.kind === 'refused') return proven;
    const id = newObjectId(this.options.clock.now());
    const stored = this.toStore(settings, this.options.access.seal(id, credentials), proven.value);
    const changed = createConfiguration(id, projectId, stored, this.options.clock.now());
    return this.write(projectId, changed, (tx) =>
      this.options.repository.insert(tx, changed.configuration, this.options.access.sealingKeyId),
    );
  }

  private async replaceCredentials(
    current: KeyConfiguration,
    settings: AwsKmsSettings,
    secretAccessKey: string,
  ): Promise<Outcome<KeyConfiguration>> {
    const credentials = { accessKeyId: settings.accessKeyID, secretAccessKey };
    const proven = await this.options.proof.proveCredentials(current, settings, credentials);
    if (proven.kind === 'refused') return proven;
    return this.replace(current, this.toStore(settings, this.options.access.seal(current.id, credentials), proven.value));
  }

  private async replaceKey(
    current: KeyConfiguration,
    settings: AwsKmsSettings,
    secretAccessKey: string | null,
  ): Promise<Outcome<KeyConfiguration>> {
    const present = await this.options.proof.provePresent(current);
    if (present.kind === 'refused') return present;
    const { access, proof } = this.options;
    const credentials = secretAccessKey === null ? access.open(current) : { accessKeyId: settings.accessKeyID, secretAccessKey };
    const proven = await proof.proveNew(current.projectId, settings, credentials);
    if (proven.kind === 'refused') return proven;
    return this.replace(current, this.toStore(settings, access.seal(current.id, credentials), proven.value));
  }

  private replace(current: KeyConfiguration, stored: ProvenSettings): Promise<Outcome<KeyConfiguration>> {
    const changed = replaceSettings(current, stored, this.options.clock.now());
    return this.write(current.projectId, changed, (tx) =>
      this.options.repository.replace(tx, current.revision, changed.configuration, this.options.access.sealingKeyId),
    );
  }

  private async remove(current: KeyConfiguration): Promise<Outcome<null>> {
    const { database, clusters, proof, repository } = this.options;
    // Asked before the KMS, because it is the likelier and the clearer answer; asked again where it counts.
    const using = await database.transaction((tx) => clusters.using(tx, current.projectId, current.provider));
    if (using.length > 0) return refused(stillUsed(using));
    const present = await proof.provePresent(current);
    if (present.kind === 'refused') return present;
    const written = await this.write(current.projectId, removeConfiguration(current), async (tx) => {
      const stillUsing = await clusters.using(tx, current.projectId, current.provider);
      return stillUsing.length > 0 ? refused(stillUsed(stillUsing)) : repository.remove(tx, current.id, current.revision);
    });
    return written.kind === 'refused' ? written : done(null);
  }

  /** State and events in one transaction, or nothing at all. */
  private async write(
    projectId: string,
    changed: Changed,
    store: (tx: Transaction) => Promise<ChangeOutcome | Refused>,
  ): Promise<Outcome<KeyConfiguration>> {
    const { database, projects, publisher } = this.options;
    return database.transaction(async (tx) => {
      if (!(await projects.hold(tx, projectId))) return refused(projectNotFound(projectId));
      const outcome = await store(tx);
      if (typeof outcome === 'object') return outcome;
      if (outcome !== 'written') return refused(changedMeanwhile());
      for (const { definition, data } of changed.publications) await publisher.publish(tx, definition, data);
      signalAfterCommit(tx, CHANGED_CHANNEL);
      return done(changed.configuration);
    });
  }

  private toStore(settings: AwsKmsSettings, sealedCredentials: string, { canary, evidence }: Proven): ProvenSettings {
    const nextCheckAt = new Date(this.options.clock.now().getTime() + this.options.policy.intervalMs);
    return { settings, sealedCredentials, canary, evidence, nextCheckAt };
  }

  private async configured(projectId: string): Promise<Outcome<KeyConfiguration>> {
    if (!(await this.projectExists(projectId))) return refused(projectNotFound(projectId));
    const found = await this.options.repository.find(projectId);
    return found ? done(found) : refused(notEnabled(projectId));
  }

  private async projectExists(projectId: string): Promise<boolean> {
    // Its event may be on the way; a deleted project is known, and not waited for.
    return (await awaitProjection(() => this.options.projects.exists(projectId))) ?? false;
  }
}

/** A plan that compares with a configuration is only made when there is one. */
function known(current: KeyConfiguration | null): KeyConfiguration {
  if (current === null) throw new TypeError('The plan changes a key configuration that does not exist.');
  return current;
}

function refuseUnsupported(change: EncryptionAtRestChange): Refused | null {
  for (const name of ['azureKeyVault', 'googleCloudKms'] as const) {
    const provider = change[name];
    if (provider === null || provider === undefined || provider.enabled === false) continue;
    const { valid: _, requirePrivateNetworking: __, ...fields }: Record<string, unknown> = { ...provider };
    if (Object.values(fields).every((value) => value === null || value === undefined)) continue;
    const detail = `This release supports awsKms only; ${name} cannot be enabled yet.`;
    return refused(refusal('ENCRYPTION_AT_REST_PROVIDER_NOT_SUPPORTED', detail, [name]));
  }
  if (change.enabledForSearchNodes !== true) return null;
  return refused(
    refusal('INVALID_ATTRIBUTE', 'enabledForSearchNodes is not supported: there are no search nodes.', ['enabledForSearchNodes']),
  );
}

const projectNotFound = (projectId: string) => refusal('GROUP_NOT_FOUND', `No group with ID ${projectId} exists.`, [projectId]);

const notEnabled = (projectId: string) =>
  refusal('ENCRYPTION_AT_REST_NOT_ENABLED', `Encryption at rest with awsKms is not enabled for group ${projectId}.`, [projectId]);

const stillUsed = (names: readonly string[]) =>
  refusal('CANNOT_DISABLE_ENCRYPTION_AT_REST', `Encryption at rest cannot be disabled while clusters use it: ${names.join(', ')}.`, names);

const changedMeanwhile = () =>
  refusal(
    'ENCRYPTION_AT_REST_CHANGED_MEANWHILE',
    'The configuration was changed while this request was carried out. Read it and try again.',
  );
