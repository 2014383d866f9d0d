import {
  commandKid,
  type OrganisationRole,
  type ProjectRole,
  type PublicJwk,
  type RoleGrant,
  type ServiceAccountState,
} from '@atrest/contracts';

/** Roles that one account has in one project. */
export interface ProjectRoles {
  readonly projectId: string;
  readonly roles: readonly ProjectRole[];
}

/** A public key with which an account signs commands. The private half never comes here. */
export interface CommandKey {
  /** RFC 7638 thumbprint, SHA-256. */
  readonly id: string;
  readonly publicJwk: PublicJwk;
  /** ISO-8601. */
  readonly createdAt: string;
}

/** Room for a rotation on each of a few machines. Every event about the account carries them all. */
export const MAX_SIGNING_KEYS = 8;

/** A service account: a program's identity, in one organisation, with roles in it and in its projects. Secrets are kept apart. */
export interface ServiceAccount {
  readonly clientId: string;
  readonly orgId: string;
  readonly name: string;
  readonly description: string;
  readonly orgRoles: readonly OrganisationRole[];
  readonly projectRoles: readonly ProjectRoles[];
  readonly signingKeys: readonly CommandKey[];
  readonly createdAt: Date;
  readonly deletedAt: Date | null;
  readonly revision: number;
}

/** What a caller may change of an account. What is left out, or null, stays. */
export interface AccountDetails {
  readonly name?: string | null | undefined;
  readonly description?: string | null | undefined;
}

/** Reasons for which a change of a service account is refused, or cannot be made. */
export type AccessErrorCode =
  | 'SERVICE_ACCOUNT_UNKNOWN'
  | 'SECRET_UNKNOWN'
  | 'LAST_ORG_OWNER'
  | 'LAST_SECRET_OF_LAST_ORG_OWNER'
  | 'SIGNING_KEY_UNKNOWN'
  | 'SIGNING_KEY_NOT_ON_CURVE'
  | 'TOO_MANY_SECRETS'
  | 'TOO_MANY_SIGNING_KEYS'
  | 'ACCOUNT_REACHES_BEYOND_PROJECT'
  | 'CHANGED_MEANWHILE';

/** Thrown when a change of service accounts is refused. The HTTP layer maps the code (`access-api-error.ts`). */
export class AccessError extends Error {
  override readonly name = 'AccessError';
  constructor(
    readonly code: AccessErrorCode,
    /** The account or secret it is about. */
    readonly subject: string,
  ) {
    super(`${code}: ${subject}`);
  }
}

const unique = <T>(values: readonly T[]): T[] => [...new Set(values)];

export function isOwner(account: Pick<ServiceAccount, 'orgRoles'>): boolean {
  return account.orgRoles.includes('ORG_OWNER');
}

export function rolesInProject(account: ServiceAccount, projectId: string): readonly ProjectRole[] {
  return account.projectRoles.find((entry) => entry.projectId === projectId)?.roles ?? [];
}

/** Whether the account has any right outside this project. If so, who owns only the project may not make secrets for it: he would gain those rights. */
export function reachesBeyond(account: ServiceAccount, projectId: string): boolean {
  return isOwner(account) || account.projectRoles.some((entry) => entry.projectId !== projectId);
}

/** The account with other details; the same object when nothing differs (an empty PATCH is no change and no event). */
export function describe(account: ServiceAccount, details: AccountDetails): ServiceAccount {
  const name = details.name ?? account.name;
  const description = details.description ?? account.description;
  return name === account.name && description === account.description ? account : { ...account, name, description };
}

/**
 * The account with these roles in its organisation.
 * @param otherOwners how many other accounts own the organisation
 * @throws AccessError LAST_ORG_OWNER when nobody would own the organisation any more
 */
export function withOrganisationRoles(account: ServiceAccount, roles: readonly OrganisationRole[], otherOwners: number): ServiceAccount {
  const orgRoles = unique(roles);
  if (isOwner(account) && !orgRoles.includes('ORG_OWNER') && otherOwners === 0) throw new AccessError('LAST_ORG_OWNER', account.clientId);
  return sameSet(orgRoles, account.orgRoles) ? account : { ...account, orgRoles };
}

/** The account with exactly these roles in the project; with none it is no longer part of it. */
export function withProjectRoles(account: ServiceAccount, projectId: string, roles: readonly ProjectRole[]): ServiceAccount {
  const wanted = unique(roles);
  if (sameSet(wanted, rolesInProject(account, projectId))) return account;
  const others = account.projectRoles.filter((entry) => entry.projectId !== projectId);
  return { ...account, projectRoles: wanted.length === 0 ? others : [...others, { projectId, roles: wanted }] };
}

/** The account with this key for commands as well; the same object when it has it. @throws AccessError TOO_MANY_SIGNING_KEYS */
export function withSigningKey(account: ServiceAccount, key: CommandKey): ServiceAccount {
  if (account.signingKeys.some(({ id }) => id === key.id)) return account;
  if (account.signingKeys.length >= MAX_SIGNING_KEYS) throw new AccessError('TOO_MANY_SIGNING_KEYS', account.clientId);
  return { ...account, signingKeys: [...account.signingKeys, key] };
}

/** @throws AccessError SIGNING_KEY_UNKNOWN */
export function withoutSigningKey(account: ServiceAccount, id: string): ServiceAccount {
  const signingKeys = account.signingKeys.filter((key) => key.id !== id);
  if (signingKeys.length === account.signingKeys.length) throw new AccessError('SIGNING_KEY_UNKNOWN', id);
  return { ...account, signingKeys };
}

/** @throws AccessError LAST_ORG_OWNER */
export function deleted(account: ServiceAccount, now: Date, otherOwners: number): ServiceAccount {
  if (isOwner(account) && otherOwners === 0) throw new AccessError('LAST_ORG_OWNER', account.clientId);
  return { ...account, deletedAt: now };
}

/** The account as the other services may know it. A deleted one has no grants and no keys: whoever forgets to look at `deletedAt` still gives nothing. */
export function stateOf(account: ServiceAccount): ServiceAccountState {
  return {
    clientId: account.clientId,
    orgId: account.orgId,
    name: account.name,
    grants: account.deletedAt === null ? grantsOf(account) : [],
    signingKeys:
      account.deletedAt === null
        ? account.signingKeys.map(({ id, publicJwk }) => ({ kid: commandKid(account.clientId, id), publicJwk }))
        : [],
    deletedAt: account.deletedAt?.toISOString() ?? null,
    revision: account.revision,
  };
}

function grantsOf(account: ServiceAccount): RoleGrant[] {
  const owner: RoleGrant[] = isOwner(account) ? [{ role: 'ORG_OWNER', orgId: account.orgId, projectId: null }] : [];
  return [
    ...owner,
    ...account.projectRoles.flatMap(({ projectId, roles }) => roles.map((role): RoleGrant => ({ role, orgId: null, projectId }))),
  ];
}

function sameSet<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((value) => b.includes(value));
}
