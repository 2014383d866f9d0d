import type { Role, RoleGrant, ServiceAccountState } from '@atrest/contracts';
import { decideOrganisationAccess, decideProjectAccess, type ProjectReference } from './role-implication.js';

/** Who makes a request, with the roles it has at this moment. */
export interface Caller {
  readonly kind: 'service-account';
  readonly clientId: string;
  readonly orgId: string;
  readonly name: string;
  /** Granted roles as they stand, without implications. */
  readonly grants: readonly RoleGrant[];
  /**
   * Whether the caller has the role, implications included.
   *
   * Without a project: in its organisation. With a project given by id: by a role in that project, or, for the project of the request's path,
   * whose organisation the guard has looked up, as owner of the organisation. With id and organisation: for any project, so a list of projects
   * asks `hasRole('GROUP_READ_ONLY', { id: project.id, orgId: project.orgId })`.
   */
  hasRole(role: Role, project?: string | ProjectReference): boolean;
}

/** @param pathProject the project of the request's path, when it has one */
export function callerOf(account: ServiceAccountState, pathProject?: ProjectReference): Caller {
  return {
    kind: 'service-account',
    clientId: account.clientId,
    orgId: account.orgId,
    name: account.name,
    grants: account.grants,
    hasRole(role, project) {
      if (project === undefined) return decideOrganisationAccess(account.grants, [role], account.orgId) === 'allowed';
      const reference = typeof project !== 'string' ? project : project === pathProject?.id ? pathProject : { id: project, orgId: null };
      return decideProjectAccess(account.grants, [role], reference) === 'allowed';
    },
  };
}
