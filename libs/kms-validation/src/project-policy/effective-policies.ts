import type { KeyConfiguration } from '../key-configuration.js';
import type { ValidityPolicy } from '../policy-settings.js';
import type { MemberPolicy } from '../validity-policy.js';
import { effectivePolicy, type ProjectPolicy } from './project-policy.js';
import type { ProjectPolicyRepository } from './project-policy.repository.js';

/** The policy that applies: the installation's, and what a project decided for itself. */
export class EffectivePolicies {
  constructor(
    readonly installation: ValidityPolicy,
    private readonly repository: ProjectPolicyRepository,
  ) {}

  /** What a project decided for itself. */
  decidedBy(projectId: string): Promise<ProjectPolicy> {
    return this.repository.find(projectId);
  }

  async ofProject(projectId: string): Promise<ValidityPolicy> {
    return effectivePolicy(this.installation, await this.repository.find(projectId));
  }

  /** The policies of many configurations, read at once. */
  async of(configurations: readonly KeyConfiguration[]): Promise<(configuration: KeyConfiguration) => MemberPolicy> {
    const ids = [...new Set(configurations.map(({ projectId }) => projectId))];
    const decided = ids.length === 0 ? new Map<string, ProjectPolicy>() : await this.repository.findAll(ids);
    return ({ projectId, failClosed }) => {
      const own = decided.get(projectId);
      const policy = own === undefined ? this.installation : effectivePolicy(this.installation, own);
      return { ...policy, failClosed, rotationReminderDays: (own ?? this.repository.defaults).rotationReminderDays };
    };
  }
}
