import { randomUUID } from 'node:crypto';
import {
  newObjectId,
  type AccessRoleAuthorisation,
  type AccessRolesView,
  type AccessRoleView,
  type NewAccessRole,
} from '@atrest/contracts';
import type { DefinitiveVerdict, TransientVerdict, UsableVerdict } from '@atrest/kms';
import { awaitProjection, type ServiceDatabase } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import type { AuthorisedRole } from '../key-access.js';
import type { ProjectProjection } from '../projections/project-projection.js';
import { done, refusal, refused, type Outcome, type Refusal } from '../refusal.js';
import type { AccessRoleRepository } from './access-role.repository.js';
import { toRolesView, toRoleView, type AccessRole, type InstallationIdentities, type RoleIdentity } from './access-role.js';

type AwsRole = Extract<AuthorisedRole, { provider: 'AWS' }>;

/** Tries to become an AWS role. */
export type AwsRoleProof = (role: AwsRole) => Promise<UsableVerdict | DefinitiveVerdict | TransientVerdict>;

export interface CloudProviderAccessOptions {
  readonly database: ServiceDatabase;
  readonly roles: AccessRoleRepository;
  readonly projects: ProjectProjection;
  readonly identities: InstallationIdentities;
  readonly proveAwsRole: AwsRoleProof;
  readonly clock: Clock;
}

const ROLE_ARN = /^arn:aws[a-z-]*:iam::\d{12}:role\/[\w+=,.@/-]{1,512}$/;

/** Roles under which this installation may act for a project (`cloudProviderAccess`). */
export class CloudProviderAccess {
  constructor(private readonly options: CloudProviderAccessOptions) {}

  async list(projectId: string): Promise<Outcome<AccessRolesView>> {
    if (!(await this.exists(projectId))) return refused(projectNotFound(projectId));
    const { roles, identities } = this.options;
    const [all, used] = await Promise.all([roles.ofProject(projectId), roles.inUse(projectId)]);
    return done(toRolesView(all.map((role) => toRoleView(role, used.has(role.id), identities))));
  }

  async read(projectId: string, roleId: string): Promise<Outcome<AccessRoleView>> {
    const role = await this.options.roles.find(projectId, roleId);
    if (role === null) return refused(roleNotFound(roleId));
    const used = await this.options.roles.inUse(projectId);
    return done(toRoleView(role, used.has(roleId), this.options.identities));
  }

  async create(projectId: string, asked: NewAccessRole): Promise<Outcome<AccessRoleView>> {
    const { clock, database, identities, projects, roles } = this.options;
    if (!(await this.exists(projectId))) return refused(projectNotFound(projectId));
    const identity = newIdentity(asked, identities);
    if ('code' in identity) return refused(identity);
    const now = clock.now();
    // An AWS role must be seen to trust us; the others are proven with the key that they are used for.
    const authorizedAt = identity.provider === 'AWS' ? null : now;
    const role: AccessRole = { id: newObjectId(now), projectId, identity, authorizedAt, createdAt: now, updatedAt: now };
    const stored = await database.transaction(async (tx) => {
      if (!(await projects.hold(tx, projectId))) return false;
      await roles.insert(tx, role);
      return true;
    });
    return stored ? done(toRoleView(role, false, identities)) : refused(projectNotFound(projectId));
  }

  /** Assumes the role before it is stored. */
  async authorise(projectId: string, roleId: string, asked: AccessRoleAuthorisation): Promise<Outcome<AccessRoleView>> {
    const { clock, identities, proveAwsRole, roles } = this.options;
    const role = await roles.find(projectId, roleId);
    if (role === null || role.identity.provider !== asked.providerName) return refused(roleNotFound(roleId));
    if (role.identity.provider !== 'AWS') return done(toRoleView(role, (await roles.inUse(projectId)).has(roleId), identities));
    const roleArn = asked.iamAssumedRoleArn ?? role.identity.roleArn;
    if (roleArn === null) return refused(refusal('MISSING_ATTRIBUTE', 'iamAssumedRoleArn is needed.', ['iamAssumedRoleArn']));
    if (!ROLE_ARN.test(roleArn))
      return refused(refusal('INVALID_ATTRIBUTE', 'iamAssumedRoleArn must be the ARN of an IAM role.', ['iamAssumedRoleArn']));
    const { externalId } = role.identity;
    const verdict = await proveAwsRole({ provider: 'AWS', roleId, roleArn, externalId });
    if (verdict.kind === 'transient') {
      return refused(refusal('SERVICE_UNAVAILABLE', `AWS STS could not be asked (${verdict.reason}). Try again.`, [verdict.reason]));
    }
    if (verdict.kind === 'definitive') return refused(cannotAssume(roleArn, externalId, verdict));
    // What uses the role keeps it as it is: a new one takes its place by a PATCH of the configuration, which proves it.
    if (role.identity.roleArn === roleArn && role.authorizedAt !== null) {
      return done(toRoleView(role, (await roles.inUse(projectId)).has(roleId), identities));
    }
    const now = clock.now();
    const authorised: AccessRole = { ...role, identity: { ...role.identity, roleArn }, authorizedAt: now, updatedAt: now };
    if ((await roles.authorise(authorised)) !== 'written') return refused(inUse(roleId));
    return done(toRoleView(authorised, false, identities));
  }

  async remove(projectId: string, provider: string, roleId: string): Promise<Outcome<null>> {
    const role = await this.options.roles.find(projectId, roleId);
    if (role === null || role.identity.provider !== provider.toUpperCase()) return refused(roleNotFound(roleId));
    return (await this.options.roles.remove(projectId, roleId)) === 'removed' ? done(null) : refused(inUse(roleId));
  }

  private async exists(projectId: string): Promise<boolean> {
    return (await awaitProjection(() => this.options.projects.exists(projectId))) ?? false;
  }
}

function newIdentity(asked: NewAccessRole, identities: InstallationIdentities): RoleIdentity | Refusal {
  switch (asked.providerName) {
    case 'AWS':
      return identities.awsPrincipalArn === undefined ? notOffered('AWS') : { provider: 'AWS', externalId: randomUUID(), roleArn: null };
    case 'AZURE': {
      if (identities.azureAppId === undefined) return notOffered('AZURE');
      const { atlasAzureAppId, servicePrincipalId, tenantId } = asked;
      if (!servicePrincipalId || !tenantId) {
        return refusal('MISSING_ATTRIBUTES', 'servicePrincipalId and tenantId are needed.', ['servicePrincipalId', 'tenantId']);
      }
      if (atlasAzureAppId && atlasAzureAppId.toLowerCase() !== identities.azureAppId.toLowerCase()) {
        return refusal('INVALID_ATTRIBUTE', `atlasAzureAppId of this installation is ${identities.azureAppId}.`, ['atlasAzureAppId']);
      }
      return { provider: 'AZURE', appId: identities.azureAppId, servicePrincipalId, tenantId };
    }
    case 'GCP':
      return identities.gcpServiceAccount === undefined
        ? notOffered('GCP')
        : { provider: 'GCP', serviceAccount: identities.gcpServiceAccount };
    default:
      return asked.providerName satisfies never;
  }
}

const notOffered = (provider: string) =>
  refusal('FEATURE_UNSUPPORTED', `This installation has no identity of its own in ${provider}; its operator can give it one.`, [provider]);

const cannotAssume = (arn: string, externalId: string, { errorName, message }: DefinitiveVerdict) =>
  refusal(
    'CANNOT_ASSUME_ROLE',
    `The role ${arn} could not be assumed (${[errorName, message].filter((part) => part !== null).join(': ')}). Its trust policy must allow sts:AssumeRole with the external id ${externalId}.`,
    [arn],
  );

const inUse = (roleId: string) =>
  refusal('CLOUD_PROVIDER_ACCESS_ROLE_IN_USE', `The role ${roleId} is used by a key configuration. Give that other credentials first.`, [
    roleId,
  ]);

const roleNotFound = (roleId: string) =>
  refusal('RESOURCE_NOT_FOUND', `There is no role ${roleId.slice(0, 64)} in this project.`, [roleId.slice(0, 64)]);

const projectNotFound = (projectId: string) => refusal('GROUP_NOT_FOUND', `No group with ID ${projectId} exists.`, [projectId]);
