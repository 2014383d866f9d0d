import type { AccessRolesView, AccessRoleView } from '@atrest/contracts';
import { atlasTime } from '@atrest/platform-http';
import type { AuthorisedRole } from '../key-access.js';

/** What identifies a role at its provider. */
export type RoleIdentity =
  | { readonly provider: 'AWS'; readonly externalId: string; readonly roleArn: string | null }
  | { readonly provider: 'AZURE'; readonly appId: string; readonly servicePrincipalId: string; readonly tenantId: string }
  | { readonly provider: 'GCP'; readonly serviceAccount: string };

/** A role that a project lets this installation act under. */
export interface AccessRole {
  readonly id: string;
  readonly projectId: string;
  readonly identity: RoleIdentity;
  /** Null until the role was seen to be usable. */
  readonly authorizedAt: Date | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** Who this installation is at the cloud providers, as customers name it in their trust policies. What is not given is not offered. */
export interface InstallationIdentities {
  /** The ARN of the AWS principal that assumes roles. */
  readonly awsPrincipalArn?: string;
  /** The application id of the workload identity in Azure. */
  readonly azureAppId?: string;
  /** The e-mail address of the service account in Google Cloud. */
  readonly gcpServiceAccount?: string;
}

/** The role as an adapter needs it; null while it is not authorised. */
export function authorisedRole({ id: roleId, identity, authorizedAt }: AccessRole): AuthorisedRole | null {
  if (authorizedAt === null) return null;
  switch (identity.provider) {
    case 'AWS':
      return identity.roleArn === null ? null : { provider: 'AWS', roleId, roleArn: identity.roleArn, externalId: identity.externalId };
    case 'AZURE':
      return { provider: 'AZURE', roleId, tenantId: identity.tenantId, appId: identity.appId };
    case 'GCP':
      return { provider: 'GCP', roleId, serviceAccount: identity.serviceAccount };
    default:
      return identity satisfies never;
  }
}

/** As the Atlas Admin API shows it. */
export function toRoleView(role: AccessRole, inUse: boolean, identities: InstallationIdentities): AccessRoleView {
  const { id, projectId, identity } = role;
  const common = {
    createdDate: atlasTime(role.createdAt),
    featureUsages: inUse ? [{ featureType: 'ENCRYPTION_AT_REST' as const, featureId: { groupId: projectId } }] : [],
  };
  switch (identity.provider) {
    case 'AWS':
      return {
        providerName: 'AWS',
        roleId: id,
        atlasAWSAccountArn: identities.awsPrincipalArn ?? '',
        atlasAssumedRoleExternalId: identity.externalId,
        iamAssumedRoleArn: identity.roleArn,
        authorizedDate: role.authorizedAt && atlasTime(role.authorizedAt),
        ...common,
      };
    case 'AZURE':
      return {
        providerName: 'AZURE',
        _id: id,
        atlasAzureAppId: identity.appId,
        servicePrincipalId: identity.servicePrincipalId,
        tenantId: identity.tenantId,
        lastUpdatedDate: atlasTime(role.updatedAt),
        ...common,
      };
    case 'GCP':
      return { providerName: 'GCP', roleId: id, gcpServiceAccountForAtlas: identity.serviceAccount, status: 'COMPLETE', ...common };
    default:
      return identity satisfies never;
  }
}

/** The three lists of the API. */
export function toRolesView(roles: readonly AccessRoleView[]): AccessRolesView {
  const of = <Name extends AccessRoleView['providerName']>(name: Name) =>
    roles.filter((role): role is Extract<AccessRoleView, { providerName: Name }> => role.providerName === name);
  return { awsIamRoles: of('AWS'), azureServicePrincipals: of('AZURE'), gcpServiceAccounts: of('GCP') };
}
