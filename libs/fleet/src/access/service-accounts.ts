import { newObjectId, serviceAccountChanged, type OrganisationRole, type ProjectRole, type PublicJwk } from '@atrest/contracts';
import type { AccessStore } from '@atrest/platform-auth';
import type { EventPublisher } from '@atrest/platform-messaging';
import type { ServiceDatabase, Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import type { OrganisationStore } from './organisation-store.js';
import { hashSecret, maskSecret, MAX_SECRETS, newSecretValue, type StoredSecret } from './service-account-secret.js';
import type { AccountScope, ServiceAccountStore, Slice } from './service-account-store.js';
import { signingKeyId } from './command-key.js';
import {
  AccessError,
  deleted,
  describe,
  isOwner,
  reachesBeyond,
  stateOf,
  withOrganisationRoles,
  withoutSigningKey,
  withProjectRoles,
  withSigningKey,
  type AccountDetails,
  type CommandKey,
  type ServiceAccount,
} from './service-account.js';

const HOUR_MS = 60 * 60 * 1000;

/** An account as it is shown: with its secrets, none of them readable. */
export interface AccountView {
  readonly account: ServiceAccount;
  readonly secrets: readonly StoredSecret[];
}

/** A secret in the one moment in which its value is known. */
export interface NewSecret {
  readonly stored: StoredSecret;
  readonly value: string;
}

export interface NewAccount {
  readonly name: string;
  readonly description: string;
  readonly orgRoles: readonly OrganisationRole[];
  /** With an id: the account is made in a project and starts with these roles in it. */
  readonly project?: { readonly id: string; readonly roles: readonly ProjectRole[] };
  readonly secretExpiresAfterHours: number;
}

export interface ServiceAccountsDependencies {
  readonly database: ServiceDatabase;
  readonly accounts: ServiceAccountStore;
  readonly organisations: OrganisationStore;
  readonly access: AccessStore;
  readonly publisher: EventPublisher;
  readonly clock: Clock;
}

/**
 * The use cases around service accounts. Each change writes the account, what this service's own guard reads, and the event for
 * the other services in one transaction: a role removed here is gone with the commit.
 *
 * The scope says where the caller acts: in an organisation, or in a project of it. An account outside the scope is unknown.
 */
export class ServiceAccounts {
  constructor(private readonly parts: ServiceAccountsDependencies) {}

  async list(scope: AccountScope, slice: Slice): Promise<{ views: AccountView[]; total: number }> {
    const { accounts, total } = await this.parts.accounts.list(scope, slice);
    const secrets = await this.parts.accounts.secretsOf(accounts.map((account) => account.clientId));
    return {
      views: accounts.map((account) => ({ account, secrets: secrets.filter((secret) => secret.clientId === account.clientId) })),
      total,
    };
  }

  /** @throws AccessError SERVICE_ACCOUNT_UNKNOWN */
  async find(scope: AccountScope, clientId: string): Promise<AccountView> {
    const account = await this.parts.accounts.find(scope, clientId);
    if (account === undefined) throw new AccessError('SERVICE_ACCOUNT_UNKNOWN', clientId.slice(0, 64));
    return { account, secrets: await this.parts.accounts.secretsOf([clientId]) };
  }

  create(orgId: string, wanted: NewAccount): Promise<AccountView & { secret: NewSecret }> {
    return this.parts.database.transaction((tx) => this.createIn(tx, orgId, wanted));
  }

  /** For the first start, which creates the organisation in the same transaction. */
  async createIn(tx: Transaction, orgId: string, wanted: NewAccount): Promise<AccountView & { secret: NewSecret }> {
    const now = this.parts.clock.now();
    const account: ServiceAccount = {
      clientId: `mdb_sa_id_${newObjectId(now)}`,
      orgId,
      name: wanted.name,
      description: wanted.description,
      orgRoles: [...new Set(wanted.orgRoles)],
      projectRoles: wanted.project ? [{ projectId: wanted.project.id, roles: [...new Set(wanted.project.roles)] }] : [],
      signingKeys: [],
      createdAt: now,
      deletedAt: null,
      revision: 1,
    };
    await this.parts.accounts.insert(tx, account);
    const secret = await this.addSecret(tx, account, wanted.secretExpiresAfterHours);
    await this.announce(tx, account);
    return { account, secrets: [secret.stored], secret };
  }

  /** Changes details and roles of an account of the organisation. @throws AccessError SERVICE_ACCOUNT_UNKNOWN, LAST_ORG_OWNER */
  async updateInOrganisation(
    orgId: string,
    clientId: string,
    change: AccountDetails & { readonly roles?: readonly OrganisationRole[] | null | undefined },
  ): Promise<AccountView> {
    return this.change({ orgId }, clientId, (account, otherOwners) => {
      const described = describe(account, change);
      return change.roles == null ? described : withOrganisationRoles(described, change.roles, otherOwners);
    });
  }

  /** Changes details of an account in the project and its roles there. An empty list of roles takes it out of the project. */
  async updateInProject(
    orgId: string,
    projectId: string,
    clientId: string,
    change: AccountDetails & { readonly roles?: readonly ProjectRole[] | null | undefined },
  ): Promise<AccountView> {
    return this.change({ orgId, projectId }, clientId, (account) => {
      const described = describe(account, change);
      return change.roles == null ? described : withProjectRoles(described, projectId, change.roles);
    });
  }

  /** Gives an account of the organisation these roles in the project, in place of those it had there. */
  async invite(orgId: string, projectId: string, clientId: string, roles: readonly ProjectRole[]): Promise<AccountView> {
    return this.change({ orgId }, clientId, (account) => withProjectRoles(account, projectId, roles));
  }

  /** Takes the account out of the project. It stays in the organisation. */
  async removeFromProject(orgId: string, projectId: string, clientId: string): Promise<void> {
    await this.change({ orgId, projectId }, clientId, (account) => withProjectRoles(account, projectId, []));
  }

  /** Deletes the account with its secrets; its tokens are refused from the next request on. @throws AccessError LAST_ORG_OWNER */
  async delete(orgId: string, clientId: string): Promise<void> {
    await this.change({ orgId }, clientId, (account, otherOwners) => deleted(account, this.parts.clock.now(), otherOwners));
  }

  /**
   * Adds a secret. In a project only for accounts that have no right outside it.
   * @throws AccessError SERVICE_ACCOUNT_UNKNOWN, TOO_MANY_SECRETS, ACCOUNT_REACHES_BEYOND_PROJECT
   */
  async createSecret(scope: AccountScope, clientId: string, expiresAfterHours: number): Promise<NewSecret> {
    return this.parts.database.transaction(async (tx) => {
      const account = await this.accountForSecrets(tx, scope, clientId);
      const secrets = await this.parts.accounts.lockedSecretsOf(tx, clientId);
      if (secrets.length >= MAX_SECRETS) throw new AccessError('TOO_MANY_SECRETS', clientId);
      return this.addSecret(tx, account, expiresAfterHours);
    });
  }

  /**
   * Deletes a secret. Tokens made with it live on until they expire or are revoked.
   * @throws AccessError SERVICE_ACCOUNT_UNKNOWN, SECRET_UNKNOWN, ACCOUNT_REACHES_BEYOND_PROJECT, LAST_SECRET_OF_LAST_ORG_OWNER
   */
  async deleteSecret(scope: AccountScope, clientId: string, secretId: string): Promise<void> {
    await this.parts.database.transaction(async (tx) => {
      await this.parts.organisations.lock(tx, scope.orgId);
      const account = await this.accountForSecrets(tx, scope, clientId);
      const secrets = await this.parts.accounts.lockedSecretsOf(tx, clientId);
      if (!secrets.some((secret) => secret.id === secretId)) throw new AccessError('SECRET_UNKNOWN', secretId);
      const now = this.parts.clock.now();
      const othersAlive = secrets.some((secret) => secret.id !== secretId && secret.expiresAt > now);
      if (isOwner(account) && !othersAlive && (await this.parts.accounts.countOtherOwners(tx, account.orgId, clientId)) === 0) {
        throw new AccessError('LAST_SECRET_OF_LAST_ORG_OWNER', clientId);
      }
      await this.parts.accounts.deleteSecret(tx, secretId);
    });
  }

  /**
   * Registers the public half of a key with which the account signs commands; one that is registered already stays as it is.
   * @throws AccessError SERVICE_ACCOUNT_UNKNOWN, SIGNING_KEY_NOT_ON_CURVE, TOO_MANY_SIGNING_KEYS
   */
  async addSigningKey(orgId: string, clientId: string, publicJwk: PublicJwk): Promise<CommandKey> {
    const key: CommandKey = { id: await signingKeyId(publicJwk), publicJwk, createdAt: this.parts.clock.now().toISOString() };
    const { account } = await this.change({ orgId }, clientId, (before) => withSigningKey(before, key));
    return account.signingKeys.find(({ id }) => id === key.id) ?? key;
  }

  /** Commands signed with the key are refused from then on. @throws AccessError SERVICE_ACCOUNT_UNKNOWN, SIGNING_KEY_UNKNOWN */
  async removeSigningKey(orgId: string, clientId: string, id: string): Promise<void> {
    await this.change({ orgId }, clientId, (account) => withoutSigningKey(account, id));
  }

  /** To be called in the transaction that deletes a project: no account keeps a role in it. */
  async projectDeleted(tx: Transaction, projectId: string): Promise<void> {
    for (const account of await this.parts.accounts.lockAllInProject(tx, projectId)) {
      await this.store(tx, withProjectRoles(account, projectId, []));
    }
  }

  private async change(
    scope: AccountScope,
    clientId: string,
    decide: (account: ServiceAccount, otherOwners: number) => ServiceAccount,
  ): Promise<AccountView> {
    const account = await this.parts.database.transaction(async (tx) => {
      // Before the account itself, always: two owners that remove each other at the same time must not both succeed.
      await this.parts.organisations.lock(tx, scope.orgId);
      const before = await this.parts.accounts.lock(tx, scope, clientId);
      const after = decide(before, await this.parts.accounts.countOtherOwners(tx, before.orgId, clientId));
      return after === before ? before : this.store(tx, after);
    });
    return { account, secrets: account.deletedAt === null ? await this.parts.accounts.secretsOf([clientId]) : [] };
  }

  private async store(tx: Transaction, account: ServiceAccount): Promise<ServiceAccount> {
    const stored = await this.parts.accounts.update(tx, account);
    if (stored.deletedAt !== null) await this.parts.accounts.deleteSecretsOf(tx, stored.clientId);
    await this.announce(tx, stored);
    return stored;
  }

  private async announce(tx: Transaction, account: ServiceAccount): Promise<void> {
    const state = stateOf(account);
    await this.parts.access.applyServiceAccount(tx, state);
    await this.parts.publisher.publish(tx, serviceAccountChanged, state);
  }

  private async accountForSecrets(tx: Transaction, scope: AccountScope, clientId: string): Promise<ServiceAccount> {
    const account = await this.parts.accounts.lock(tx, scope, clientId);
    if (scope.projectId !== undefined && reachesBeyond(account, scope.projectId)) {
      throw new AccessError('ACCOUNT_REACHES_BEYOND_PROJECT', clientId);
    }
    return account;
  }

  private async addSecret(tx: Transaction, account: ServiceAccount, expiresAfterHours: number): Promise<NewSecret> {
    const now = this.parts.clock.now();
    const value = newSecretValue();
    const stored: StoredSecret = {
      id: newObjectId(now),
      clientId: account.clientId,
      hash: hashSecret(value),
      masked: maskSecret(value),
      createdAt: now,
      expiresAt: new Date(now.getTime() + expiresAfterHours * HOUR_MS),
      lastUsedAt: null,
    };
    await this.parts.accounts.insertSecret(tx, stored);
    return { stored, value };
  }
}
