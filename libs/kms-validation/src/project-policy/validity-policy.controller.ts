import { Controller, Inject } from '@nestjs/common';
import {
  HeldShutdownsDecidedSchema,
  HeldShutdownsDecisionSchema,
  HeldShutdownsSchema,
  ObservationReportOfProjectSchema,
  ValidityPolicyChangeSchema,
  ValidityPolicySchema,
  type HeldShutdowns,
  type HeldShutdownsDecided,
  type HeldShutdownsDecision,
  type ObservationReportOfProject,
  type ValidityPolicyChange,
  type ValidityPolicyView,
} from '@atrest/contracts';
import { CurrentCaller, type Caller } from '@atrest/platform-auth';
import { AtlasRoute, PathParam, ValidBody } from '@atrest/platform-http';
import { answer } from '../http-answer.js';
import { ValidityPolicies } from './validity-policies.js';

const VERSIONS = ['2023-01-01'];
const POLICY = '/groups/:groupId/encryptionAtRest/validityPolicy';
const HELD = '/orgs/:orgId/encryptionAtRest/heldShutdowns';

/** Extensions: the validity policy of a project, and shutdowns that the breaker holds. */
@Controller()
export class ValidityPolicyController {
  constructor(@Inject(ValidityPolicies) private readonly policies: ValidityPolicies) {}

  @AtlasRoute({
    method: 'GET',
    path: POLICY,
    versions: VERSIONS,
    access: { project: ['GROUP_READ_ONLY'] },
    summary: 'Returns the validity policy of a project: mode, interval, confirmations, alert levels, held shutdowns, rotation reminder.',
    response: ValidityPolicySchema,
  })
  async read(@PathParam('groupId') groupId: string): Promise<ValidityPolicyView> {
    return answer(await this.policies.read(groupId));
  }

  @AtlasRoute({
    method: 'PATCH',
    path: POLICY,
    versions: VERSIONS,
    access: { project: ['GROUP_OWNER'] },
    summary: 'Changes the validity policy of a project within the limits of the installation.',
    body: ValidityPolicyChangeSchema,
    response: ValidityPolicySchema,
  })
  async change(
    @PathParam('groupId') groupId: string,
    @ValidBody() change: ValidityPolicyChange,
    @CurrentCaller() caller: Caller,
  ): Promise<ValidityPolicyView> {
    return answer(await this.policies.change(groupId, change, caller.clientId));
  }

  @AtlasRoute({
    method: 'GET',
    path: `${POLICY}/report`,
    versions: VERSIONS,
    access: { project: ['GROUP_READ_ONLY'] },
    summary: 'Returns what the mode observe would have stopped, and when; kept for 90 days.',
    response: ObservationReportOfProjectSchema,
  })
  async report(@PathParam('groupId') groupId: string): Promise<ObservationReportOfProject> {
    return answer(await this.policies.report(groupId));
  }

  @AtlasRoute({
    method: 'GET',
    path: HELD,
    versions: VERSIONS,
    access: { org: ['ORG_OWNER'] },
    summary:
      'Returns the shutdowns of an organisation that are held, because an unlikely share of all configurations turned invalid at once.',
    response: HeldShutdownsSchema,
  })
  held(@PathParam('orgId') orgId: string): Promise<HeldShutdowns> {
    return this.policies.held(orgId);
  }

  @AtlasRoute({
    method: 'PATCH',
    path: HELD,
    versions: VERSIONS,
    access: { org: ['ORG_OWNER'] },
    summary:
      'Decides on held shutdowns. RELEASE: each key is checked at once, and databases whose key is still gone are stopped. CANCEL: nothing is stopped until the keys were usable again.',
    body: HeldShutdownsDecisionSchema,
    response: HeldShutdownsDecidedSchema,
  })
  decide(
    @PathParam('orgId') orgId: string,
    @ValidBody() { decision, projectIds }: HeldShutdownsDecision,
    @CurrentCaller() caller: Caller,
  ): Promise<HeldShutdownsDecided> {
    return this.policies.decide(orgId, decision === 'RELEASE' ? 'RELEASED' : 'CANCELLED', projectIds ?? null, caller.clientId);
  }
}
