import type {
  HeldShutdowns,
  HeldShutdownsDecided,
  ObservationReportOfProject,
  ValidityPolicyChange,
  ValidityPolicyView,
} from '@atrest/contracts';
import { atlasTime } from '@atrest/platform-http';
import type { EventPublisher } from '@atrest/platform-messaging';
import { awaitProjection, signalAfterCommit, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import type { CheckHistory } from '../check-history.js';
import type { CheckedKeyRepository } from '../checked-key.repository.js';
import { CHANGED_CHANNEL } from '../encryption-at-rest.js';
import { changePolicy, decideHold, decisiveEvidence, holdOf, type Changed, type KeyConfiguration } from '../key-configuration.js';
import type { KeyConfigurationRepository } from '../key-configuration.repository.js';
import type { ProjectProjection } from '../projections/project-projection.js';
import { bindingOf } from '../providers/bindings.js';
import { done, refusal, refused, type Outcome } from '../refusal.js';
import type { EffectivePolicies } from './effective-policies.js';
import { changeProjectPolicy, effectivePolicy, toPolicyView } from './project-policy.js';
import type { ProjectPolicyRepository } from './project-policy.repository.js';

/** Entries of the report. */
const REPORT_LIMIT = 500;

export interface ValidityPoliciesOptions {
  readonly database: ServiceDatabase;
  readonly repository: KeyConfigurationRepository;
  readonly policyRepository: ProjectPolicyRepository;
  readonly policies: EffectivePolicies;
  readonly keys: CheckedKeyRepository;
  readonly history: CheckHistory;
  readonly projects: ProjectProjection;
  readonly publisher: EventPublisher;
  readonly clock: Clock;
}

/** What people decide about checks: the policy of a project, and shutdowns that the breaker holds. */
export class ValidityPolicies {
  constructor(private readonly options: ValidityPoliciesOptions) {}

  async read(projectId: string): Promise<Outcome<ValidityPolicyView>> {
    if (!(await this.exists(projectId))) return refused(projectNotFound(projectId));
    const { policies } = this.options;
    return done(toPolicyView(await policies.decidedBy(projectId), policies.installation));
  }

  /** Stores the policy, and tells of it for every key configuration of the project in the same transaction. */
  async change(projectId: string, change: ValidityPolicyChange, by: string): Promise<Outcome<ValidityPolicyView>> {
    if (!(await this.exists(projectId))) return refused(projectNotFound(projectId));
    const { database, policies, policyRepository, projects, repository, keys, clock } = this.options;
    const current = await policies.decidedBy(projectId);
    const changed = changeProjectPolicy(current, change, policies.installation);
    if ('code' in changed) return refused(changed);
    const now = clock.now();
    const latest = new Date(now.getTime() + effectivePolicy(policies.installation, changed).intervalMs);
    return database.transaction(async (tx) => {
      if (!(await projects.hold(tx, projectId))) return refused(projectNotFound(projectId));
      if ((await policyRepository.save(tx, projectId, changed, now, by)) !== 'written') return refused(changedMeanwhile());
      // Keys first, as a check takes its locks; a shorter interval counts from now.
      await keys.bringForwardOf(tx, projectId, latest, now);
      for (const configuration of await repository.findForUpdate(tx, projectId)) {
        await this.store(tx, configuration, changePolicy(configuration, changed));
      }
      signalAfterCommit(tx, CHANGED_CHANNEL);
      return done(toPolicyView(changed, policies.installation));
    });
  }

  /** What the mode `observe` would have stopped. */
  async report(projectId: string): Promise<Outcome<ObservationReportOfProject>> {
    if (!(await this.exists(projectId))) return refused(projectNotFound(projectId));
    const stops = await this.options.history.observedOf(projectId, REPORT_LIMIT);
    const results = stops.map(({ provider, at, endedAt, clusters, evidence }) => ({
      provider,
      wouldHaveStoppedAt: atlasTime(at),
      wouldHaveStartedAt: endedAt && atlasTime(endedAt),
      clusters: [...clusters],
      evidence: [...evidence],
    }));
    return done({ results });
  }

  /** Shutdowns of an organisation that wait for a decision, or were decided on and not carried out yet. */
  async held(orgId: string): Promise<HeldShutdowns> {
    const held = await this.options.repository.heldOf(orgId);
    return { results: held.flatMap(toHeldShutdown) };
  }

  /** Decides on the held shutdowns of an organisation, all or those of some projects. Each that is released is checked at once. */
  async decide(
    orgId: string,
    decision: 'RELEASED' | 'CANCELLED',
    projectIds: readonly string[] | null,
    by: string,
  ): Promise<HeldShutdownsDecided> {
    const { database, repository, keys, clock } = this.options;
    let decided = 0;
    for (const { id, projectId } of await repository.heldOf(orgId)) {
      if (projectIds !== null && !projectIds.includes(projectId)) continue;
      const written = await database.transaction(async (tx) => {
        await keys.makeDue(tx, id, clock.now());
        // Read anew under its lock: a check may just have found the key usable.
        const current = (await repository.findForUpdate(tx, projectId)).find((configuration) => configuration.id === id);
        const changed = current === undefined ? null : decideHold(current, decision, by);
        if (current === undefined || changed === null) return false;
        await this.store(tx, current, changed);
        signalAfterCommit(tx, CHANGED_CHANNEL);
        return true;
      });
      if (written) decided += 1;
    }
    return { decided };
  }

  private async store(tx: Transaction, before: KeyConfiguration, { configuration, publications }: Changed): Promise<void> {
    const outcome = await this.options.repository.applyDecision(tx, before, configuration);
    if (outcome !== 'written') throw new Error(`A key configuration that was locked could not be written: ${outcome}.`);
    for (const { definition, data } of publications) await this.options.publisher.publish(tx, definition, data);
  }

  private async exists(projectId: string): Promise<boolean> {
    return (await awaitProjection(() => this.options.projects.exists(projectId))) ?? false;
  }
}

function toHeldShutdown(configuration: KeyConfiguration): HeldShutdowns['results'] {
  const hold = holdOf(configuration);
  if (hold === null) return [];
  const { projectId, provider, settings, validity } = configuration;
  return [{ projectId, provider, keyId: bindingOf(provider).keyOf(settings).keyId, hold, evidence: decisiveEvidence(validity) }];
}

const projectNotFound = (projectId: string) => refusal('GROUP_NOT_FOUND', `No group with ID ${projectId} exists.`, [projectId]);

const changedMeanwhile = () =>
  refusal('ENCRYPTION_AT_REST_CHANGED_MEANWHILE', 'The policy was changed while this request was carried out. Read it and try again.');
