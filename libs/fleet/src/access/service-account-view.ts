import type { ServiceAccountSecretView, ServiceAccountView } from '@atrest/contracts';
import { atlasTime } from '@atrest/platform-http';
import type { StoredSecret } from './service-account-secret.js';
import { rolesInProject, type ServiceAccount } from './service-account.js';
import type { AccountView, NewSecret } from './service-accounts.js';

/** An account as its organisation sees it: with its roles there. */
export function organisationView(view: AccountView, created?: NewSecret): ServiceAccountView {
  return accountView(view, view.account.orgRoles, created);
}

/** An account as a project sees it: with its roles in that project. Its roles elsewhere are not the project's business. */
export function projectView(view: AccountView, projectId: string, created?: NewSecret): ServiceAccountView {
  return accountView(view, rolesInProject(view.account, projectId), created);
}

/** The one answer that shows a secret's value. */
export function newSecretView({ stored, value }: NewSecret): ServiceAccountSecretView {
  return { id: stored.id, createdAt: atlasTime(stored.createdAt), expiresAt: atlasTime(stored.expiresAt), secret: value };
}

function accountView({ account, secrets }: AccountView, roles: readonly string[], created?: NewSecret): ServiceAccountView {
  return {
    ...detailsOf(account),
    roles: [...roles],
    secrets: secrets.map((secret) => (secret.id === created?.stored.id ? newSecretView(created) : secretView(secret))),
  };
}

function detailsOf({ clientId, createdAt, name, description }: ServiceAccount): Omit<ServiceAccountView, 'roles' | 'secrets'> {
  return { clientId, createdAt: atlasTime(createdAt), name, description };
}

function secretView(secret: StoredSecret): ServiceAccountSecretView {
  return {
    id: secret.id,
    createdAt: atlasTime(secret.createdAt),
    expiresAt: atlasTime(secret.expiresAt),
    ...(secret.lastUsedAt === null ? {} : { lastUsedAt: atlasTime(secret.lastUsedAt) }),
    maskedSecretValue: secret.masked,
  };
}
