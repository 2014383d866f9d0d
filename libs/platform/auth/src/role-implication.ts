import { ROLES, type Role, type RoleGrant } from '@atrest/contracts';

/**
 * Which roles a role carries, itself included: ORG_OWNER everything, GROUP_OWNER every project role, each project role GROUP_READ_ONLY.
 * Complete by its type: a new role does not compile until somebody decides what it carries.
 */
const CARRIES: Readonly<Record<Role, readonly Role[]>> = {
  ORG_OWNER: ROLES,
  GROUP_OWNER: ['GROUP_OWNER', 'GROUP_CLUSTER_MANAGER', 'GROUP_BACKUP_MANAGER', 'GROUP_READ_ONLY'],
  GROUP_CLUSTER_MANAGER: ['GROUP_CLUSTER_MANAGER', 'GROUP_READ_ONLY'],
  GROUP_BACKUP_MANAGER: ['GROUP_BACKUP_MANAGER', 'GROUP_READ_ONLY'],
  GROUP_READ_ONLY: ['GROUP_READ_ONLY'],
};

/** Whether somebody who was granted the first role may do what the second one allows. */
export function implies(granted: Role, asked: Role): boolean {
  return CARRIES[granted].includes(asked);
}

/** A project and the organisation it belongs to; null when that is not known (then only roles granted in the project itself count). */
export interface ProjectReference {
  readonly id: string;
  readonly orgId: string | null;
}

/** Whether a grant reaches a project: granted in it, or in the organisation that owns it. */
function reachesProject(grant: RoleGrant, project: ProjectReference): boolean {
  return grant.role === 'ORG_OWNER'
    ? grant.orgId !== null && grant.orgId === project.orgId
    : grant.projectId !== null && grant.projectId === project.id;
}

/**
 * May these grants act in the project under any of the asked roles?
 * `unknown-project`: no grant reaches the project, so nothing may be said about it, not even whether it exists.
 */
export function decideProjectAccess(
  grants: readonly RoleGrant[],
  asked: readonly Role[],
  project: ProjectReference,
): 'allowed' | 'forbidden' | 'unknown-project' {
  const reaching = grants.filter((grant) => reachesProject(grant, project));
  if (reaching.length === 0) return 'unknown-project';
  return reaching.some((grant) => asked.some((role) => implies(grant.role, role))) ? 'allowed' : 'forbidden';
}

/**
 * May these grants act in the organisation under any of the asked roles? Only roles granted in the organisation count: one in a project of it
 * says nothing about the organisation. There is one refusal, the same for a foreign organisation, one that does not exist and missing rights.
 */
export function decideOrganisationAccess(grants: readonly RoleGrant[], asked: readonly Role[], orgId: string): 'allowed' | 'forbidden' {
  return grants.some((grant) => grant.role === 'ORG_OWNER' && grant.orgId === orgId && asked.some((role) => implies(grant.role, role)))
    ? 'allowed'
    : 'forbidden';
}
