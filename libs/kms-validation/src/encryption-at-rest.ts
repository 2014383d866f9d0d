import type {
  EncryptionAtRest,
  EncryptionAtRestChange,
  KeyCheckAnswer,
  KeyHistory,
  KeyProviderName,
  KeyValidityStatus,
} from '@atrest/contracts';
import { newObjectId } from '@atrest/contracts';
import type { EventPublisher } from '@atrest/platform-messaging';
import { awaitProjection, signalAfterCommit, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import type { AccessRoleRepository } from './access-roles/access-role.repository.js';
import { toEncryptionAtRest, toHistory, toStatus } from './answers.js';
import type { CheckHistory } from './check-history.js';
import type { CheckedKeyRepository } from './checked-key.repository.js';
import { checkedKeyIdOf, type KeyAccess, type KeyReference } from './key-access.js';
import {
  createConfiguration,
  removeConfiguration,
  replaceSettings,
  type Changed,
  type KeyConfiguration,
  type ProvenSettings,
} from './key-configuration.js';
import type { ChangeOutcome, KeyConfigurationRepository } from './key-configuration.repository.js';
import type { EffectivePolicies } from './project-policy/effective-policies.js';
import type { ClusterProjection } from './projections/cluster-projection.js';
import type { ProjectProjection } from './projections/project-projection.js';
import { bindingOf, providerBindings } from './providers/bindings.js';
import { planChange, type CredentialChange, type ProviderPlan } from './providers/plan-change.js';
import type { ProviderBinding, ProviderSettings } from './providers/provider-binding.js';
import { done, refusal, refused, type Outcome, type Refused } from './refusal.js';
import { notAuthorised, type Proven, type SettingsProof } from './settings-proof.js';
import type { ValidityMonitor } from './validity-monitor.js';

/** Tells the monitors of all replicas that something may be due sooner. */
export const CHANGED_CHANNEL = 'key-configurations';

/** Entries of each kind that the history answers with: hourly samples of the last four days, and the changes of months. */
const HISTORY_LIMIT = 100;

export interface EncryptionAtRestOptions {
  readonly database: ServiceDatabase;
  readonly repository: KeyConfigurationRepository;
  readonly keys: CheckedKeyRepository;
  readonly history: CheckHistory;
  readonly projects: ProjectProjection;
  readonly clusters: ClusterProjection;
  readonly publisher: EventPublisher;
  readonly access: KeyAccess;
  readonly roles: AccessRoleRepository;
  readonly proof: SettingsProof;
  readonly monitor: ValidityMonitor;
  readonly policies: EffectivePolicies;
  readonly clock: Clock;
}

/** A change that is proven and ready to be stored, together with those of the other providers or not at all. */
interface Write {
  readonly changed: Changed;
  readonly store: (tx: Transaction) => Promise<ChangeOutcome | Refused>;
}

/** What a project can do with its key configurations. New settings are proven before they are stored, and written only over what they were compared with. */
export class EncryptionAtRestUseCases {
  constructor(private readonly options: EncryptionAtRestOptions) {}

  async read(projectId: string): Promise<Outcome<EncryptionAtRest>> {
    if (!(await this.projectExists(projectId))) return refused(projectNotFound(projectId));
    return done(toEncryptionAtRest(await this.options.repository.ofProject(projectId)));
  }

  /** Carries out what is asked for every provider, or nothing. */
  async change(projectId: string, change: EncryptionAtRestChange): Promise<Outcome<EncryptionAtRest>> {
    if (!(await this.projectExists(projectId))) return refused(projectNotFound(projectId));
    if (change.enabledForSearchNodes === true) return refused(noSearchNodes());
    const present = await this.options.repository.ofProject(projectId);
    const plans = providerBindings.map((binding) => {
      const current = present.find(({ provider }) => provider === binding.provider) ?? null;
      return { binding, current, plan: this.planned(binding, current, change[binding.attribute]) };
    });
    // What can be refused without asking anybody is refused before anybody is asked.
    for (const { plan } of plans) if (plan.kind === 'refused') return plan;
    const writes: Write[] = [];
    for (const { binding, current, plan } of plans) {
      const prepared = await this.prepare(projectId, binding, current, plan);
      if (prepared.kind === 'refused') return prepared;
      if (prepared.value !== null) writes.push(prepared.value);
    }
    const written = writes.length === 0 ? done(null) : await this.write(projectId, writes);
    if (written.kind === 'refused') return written;
    return done(toEncryptionAtRest(await this.options.repository.ofProject(projectId)));
  }

  async status(projectId: string, provider: KeyProviderName): Promise<Outcome<KeyValidityStatus>> {
    const found = await this.configured(projectId, provider);
    return found.kind === 'refused' ? found : done(await this.statusOf(found.value));
  }

  /** Changes of the state, and what checks gave, of the last 90 days. */
  async historyOf(projectId: string, provider: KeyProviderName): Promise<Outcome<KeyHistory>> {
    const found = await this.configured(projectId, provider);
    if (found.kind === 'refused') return found;
    const { history } = this.options;
    const { id, checkedKeyId } = found.value;
    return done(toHistory(await history.changesOf(id, HISTORY_LIMIT), await history.samplesOf(checkedKeyId, HISTORY_LIMIT)));
  }

  /** 'Try again': looks now, through the same claim and the same policy as a check that is due. */
  async check(projectId: string, provider: KeyProviderName): Promise<Outcome<KeyCheckAnswer>> {
    const found = await this.configured(projectId, provider);
    if (found.kind === 'refused') return found;
    const outcome = await this.options.monitor.checkNow(found.value.id);
    switch (outcome.kind) {
      case 'checked': {
        const { verdict, reason } = outcome.observation.evidence;
        return done({ ...(await this.statusOf(outcome.configuration)), verdict, reason });
      }
      case 'removed':
        return refused(notEnabled(projectId, provider));
      case 'busy':
        return refused(refusal('SERVICE_UNAVAILABLE', 'Another check of this key is under way and does not end. Try again.'));
      default:
        return outcome satisfies never;
    }
  }

  private async statusOf(configuration: KeyConfiguration): Promise<KeyValidityStatus> {
    const { policies, repository } = this.options;
    const { projectId, provider } = configuration;
    const second = (await policies.decidedBy(projectId)).secondProviders[provider];
    return toStatus(
      configuration,
      await policies.ofProject(projectId),
      second === undefined ? null : { provider: second, configuration: await repository.find(projectId, second) },
    );
  }

  private planned(
    binding: ProviderBinding,
    current: KeyConfiguration | null,
    change: EncryptionAtRestChange[ProviderBinding['attribute']],
  ): ProviderPlan {
    const plan = planChange(binding, current?.settings ?? null, change);
    if (plan.kind !== 'create' || this.options.access.supports(binding.provider)) return plan;
    const detail = `This installation reaches no keys of ${binding.attribute}.`;
    return refused(refusal('ENCRYPTION_AT_REST_PROVIDER_NOT_SUPPORTED', detail, [binding.attribute]));
  }

  private async prepare(
    projectId: string,
    binding: ProviderBinding,
    current: KeyConfiguration | null,
    plan: ProviderPlan,
  ): Promise<Outcome<Write | null>> {
    switch (plan.kind) {
      case 'refused':
        return plan;
      case 'nothing':
        return done(null);
      case 'create':
        return this.create(projectId, binding, plan.settings, plan.secret);
      case 'remove':
        return this.remove(known(current));
      case 'replace-credentials':
        return this.replace(known(current), plan.settings, plan.credentials, (key, before) =>
          this.options.proof.proveCredentials(before, key),
        );
      case 'replace-key':
        return this.replaceKey(known(current), plan.settings, plan.credentials);
      default:
        return plan satisfies never;
    }
  }

  private async create(
    projectId: string,
    { provider }: ProviderBinding,
    settings: ProviderSettings,
    secret: string | null,
  ): Promise<Outcome<Write>> {
    const { access, clock, policies, proof, repository } = this.options;
    const key = await this.reference(projectId, provider, settings, secret);
    if (key.kind === 'refused') return key;
    const proven = await proof.proveNew(projectId, key.value);
    if (proven.kind === 'refused') return proven;
    const id = newObjectId(clock.now());
    const { mode, failClosed } = await policies.decidedBy(projectId);
    const stored = await this.toStore(projectId, key.value, access.seal(id, secret), proven.value);
    const changed = createConfiguration({ id, projectId, provider, mode, failClosed }, stored, clock.now());
    return done({
      changed,
      store: (tx) => this.joined(tx, changed, () => repository.insert(tx, changed.configuration, access.sealingKeyId)),
    });
  }

  private async replaceKey(current: KeyConfiguration, settings: ProviderSettings, credentials: CredentialChange): Promise<Outcome<Write>> {
    const present = await this.options.proof.provePresent(current);
    if (present.kind === 'refused') return present;
    return this.replace(current, settings, credentials, (key, before) => this.options.proof.proveNew(before.projectId, key));
  }

  private async replace(
    current: KeyConfiguration,
    settings: ProviderSettings,
    credentials: CredentialChange,
    prove: (key: KeyReference, current: KeyConfiguration) => Promise<Outcome<Proven>>,
  ): Promise<Outcome<Write>> {
    const { access, clock, history, policies, repository } = this.options;
    const secret = credentials.kind === 'keep' ? access.openSecret(current) : credentials.secret;
    const key = await this.reference(current.projectId, current.provider, settings, secret);
    if (key.kind === 'refused') return key;
    const proven = await prove(key.value, current);
    if (proven.kind === 'refused') return proven;
    const stored = await this.toStore(current.projectId, key.value, access.seal(current.id, secret), proven.value);
    const { rotationReminderDays } = await policies.decidedBy(current.projectId);
    const changed = replaceSettings(current, stored, clock.now(), rotationReminderDays);
    return done({
      changed,
      store: (tx) =>
        this.joined(tx, changed, async () => {
          const outcome = await repository.replace(tx, current.revision, changed.configuration, access.sealingKeyId);
          const repaired = current.validity.state !== changed.configuration.validity.state;
          if (outcome === 'written' && repaired) await history.change(tx, current, changed.configuration, clock.now(), []);
          return outcome;
        }),
    });
  }

  private async remove(current: KeyConfiguration): Promise<Outcome<Write>> {
    const { database, clusters, proof, repository } = this.options;
    // Asked before the KMS, because it is the likelier and the clearer answer; asked again where it counts.
    const using = await database.transaction((tx) => clusters.using(tx, current.projectId, current.provider));
    if (using.length > 0) return refused(stillUsed(using));
    const present = await proof.provePresent(current);
    if (present.kind === 'refused') return present;
    return done({
      changed: removeConfiguration(current),
      store: async (tx) => {
        // Locked before it is asked who uses it: a cluster that comes at this moment is either seen here, or sees that there is no configuration.
        await repository.findForUpdate(tx, current.projectId);
        const stillUsing = await clusters.using(tx, current.projectId, current.provider);
        return stillUsing.length > 0 ? refused(stillUsed(stillUsing)) : repository.remove(tx, current.id, current.revision);
      },
    });
  }

  /** First the key, then who uses it: the same order as a check takes its locks in. */
  private async joined(tx: Transaction, { configuration }: Changed, store: () => Promise<ChangeOutcome>): Promise<ChangeOutcome> {
    const { checkedKeyId: id, provider, nextCheckAt, projectId, settings } = configuration;
    const roleId = settings['roleId'];
    if (typeof roleId === 'string' && !(await this.options.roles.hold(tx, projectId, roleId))) return 'changed-meanwhile';
    await this.options.keys.join(tx, { id, provider, nextCheckAt }, this.options.clock.now());
    return store();
  }

  /** State and events of all writes in one transaction, or nothing at all. */
  private async write(projectId: string, writes: readonly Write[]): Promise<Outcome<null>> {
    const { database, projects, publisher } = this.options;
    try {
      await database.transaction(async (tx) => {
        if (!(await projects.hold(tx, projectId))) throw new WriteAbandoned(refused(projectNotFound(projectId)));
        for (const { changed, store } of writes) {
          const outcome = await store(tx);
          if (typeof outcome === 'object') throw new WriteAbandoned(outcome);
          if (outcome !== 'written') throw new WriteAbandoned(refused(changedMeanwhile()));
          for (const { definition, data } of changed.publications) await publisher.publish(tx, definition, data);
        }
        signalAfterCommit(tx, CHANGED_CHANNEL);
      });
    } catch (error) {
      if (!(error instanceof WriteAbandoned)) throw error;
      return error.why;
    }
    return done(null);
  }

  private async reference(
    projectId: string,
    provider: KeyProviderName,
    settings: ProviderSettings,
    secret: string | null,
  ): Promise<Outcome<KeyReference>> {
    try {
      return done(await this.options.access.referenceWith(projectId, provider, settings, secret));
    } catch (error) {
      return notAuthorised(error);
    }
  }

  private async toStore(
    projectId: string,
    key: KeyReference,
    sealedCredentials: string,
    { canary, evidence }: Proven,
  ): Promise<ProvenSettings> {
    const { intervalMs } = await this.options.policies.ofProject(projectId);
    const nextCheckAt = new Date(this.options.clock.now().getTime() + intervalMs);
    const checkedKeyId = checkedKeyIdOf(key, canary.blob);
    return { settings: key.settings, sealedCredentials, checkedKeyId, canary, evidence, nextCheckAt };
  }

  private async configured(projectId: string, provider: KeyProviderName): Promise<Outcome<KeyConfiguration>> {
    if (!(await this.projectExists(projectId))) return refused(projectNotFound(projectId));
    const found = await this.options.repository.find(projectId, provider);
    return found ? done(found) : refused(notEnabled(projectId, provider));
  }

  private async projectExists(projectId: string): Promise<boolean> {
    // Its event may be on the way; a deleted project is known, and not waited for.
    return (await awaitProjection(() => this.options.projects.exists(projectId))) ?? false;
  }
}

/** Rolls a transaction back for a reason that is an answer and no fault. */
class WriteAbandoned extends Error {
  readonly code = 'KMS_VALIDATION.WRITE_ABANDONED';

  constructor(readonly why: Refused) {
    super(why.refusal.detail);
  }
}

/** A plan that compares with a configuration is only made when there is one. */
function known(current: KeyConfiguration | null): KeyConfiguration {
  if (current === null) throw new TypeError('The plan changes a key configuration that does not exist.');
  return current;
}

const noSearchNodes = () =>
  refusal('INVALID_ATTRIBUTE', 'enabledForSearchNodes is not supported: there are no search nodes.', ['enabledForSearchNodes']);

const projectNotFound = (projectId: string) => refusal('GROUP_NOT_FOUND', `No group with ID ${projectId} exists.`, [projectId]);

const notEnabled = (projectId: string, provider: KeyProviderName) =>
  refusal(
    'ENCRYPTION_AT_REST_NOT_ENABLED',
    `Encryption at rest with ${bindingOf(provider).attribute} is not enabled for group ${projectId}.`,
    [projectId],
  );

const stillUsed = (names: readonly string[]) =>
  refusal('CANNOT_DISABLE_ENCRYPTION_AT_REST', `Encryption at rest cannot be disabled while clusters use it: ${names.join(', ')}.`, names);

const changedMeanwhile = () =>
  refusal(
    'ENCRYPTION_AT_REST_CHANGED_MEANWHILE',
    'The configuration was changed while this request was carried out. Read it and try again.',
  );
