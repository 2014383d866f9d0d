import { accessMigrations, AccessStore, TokenVerifier, type SealingKeys } from '@atrest/platform-auth';
import type { Logger } from '@atrest/platform-logging';
import type { EventPublisher } from '@atrest/platform-messaging';
import type { ServiceDatabase, Transaction } from '@atrest/platform-persistence';
import { BackgroundLoop, type Clock } from '@atrest/platform-time';
import type { Provider, Type } from '@nestjs/common';
import { AccessTokens } from './access-tokens.js';
import { AttemptLimiter } from './attempt-limiter.js';
import { FleetAccess1795392100000 } from './migrations/1795392100000-access.js';
import { SigningKeysForCommands1795392400001 } from './migrations/1795392400001-signing-keys-for-commands.js';
import { OAuthController } from './oauth.controller.js';
import { OrganisationAccountsController } from './organisation-accounts.controller.js';
import { OrganisationStore } from './organisation-store.js';
import { ProjectAccountsController } from './project-accounts.controller.js';
import { RootController } from './root.controller.js';
import { ServiceAccountStore } from './service-account-store.js';
import { ServiceAccounts } from './service-accounts.js';
import { SigningKeys } from './signing-keys.js';
import { SigningKeysController } from './signing-keys.controller.js';
import { ACCESS_STORE, ACCESS_TOKENS, SERVICE_ACCOUNTS } from './provider-tokens.js';

/** The migrations of this part, those of the access tables included. */
export const fleetAccessMigrations: readonly Function[] = [
  ...accessMigrations,
  FleetAccess1795392100000,
  SigningKeysForCommands1795392400001,
];

/** An hour: well inside the day for which a new key exists before it signs, so that a few missed runs do no harm. */
const KEY_MAINTENANCE_MS = 60 * 60_000;

/** The first owner's secret: a year, the most there is. He makes himself a new one in time. */
const FIRST_SECRET_HOURS = 8760;

/** 30 days: time enough for somebody on holiday. */
const EXPIRY_WARNING_MS = 30 * 24 * 60 * 60_000;

export interface FleetAccessOptions {
  readonly database: ServiceDatabase;
  readonly publisher: EventPublisher;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Seals the private halves of signing keys. */
  readonly sealingKeys: SealingKeys;
  /** The `iss` of access tokens, usually the public URL. Must be what every service's access module is given. */
  readonly issuer: string;
}

/** The first owner of the first organisation. The secret is shown here and never again. */
export interface FirstOwner {
  readonly orgId: string;
  readonly clientId: string;
  readonly secret: string;
}

/** Serve service accounts and access tokens. */
export const accessControllers: readonly Type[] = [
  RootController,
  OAuthController,
  SigningKeysController,
  OrganisationAccountsController,
  ProjectAccountsController,
];

/**
 * Organisations, service accounts and access tokens: the part of `fleet` that the other parts compose.
 *
 * `migrations` go into the service's database, `controllers` and `providers` into its module; `store` is what `accessModule` reads. Whoever
 * deletes a project calls `projectDeleted` in that transaction.
 */
export class FleetAccess {
  readonly store: AccessStore;
  readonly organisations: OrganisationStore;
  readonly accounts: ServiceAccounts;
  readonly controllers = accessControllers;
  readonly providers: readonly Provider[];
  readonly issuer: string;
  readonly #database: ServiceDatabase;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #accountStore: ServiceAccountStore;
  readonly #keyMaintenance: BackgroundLoop;

  constructor(o: FleetAccessOptions) {
    const { database, publisher, clock, logger, issuer } = o;
    this.#database = database;
    this.#clock = clock;
    this.#logger = logger;
    this.issuer = issuer;
    this.store = new AccessStore(database, clock);
    this.organisations = new OrganisationStore(database);
    const accountStore = new ServiceAccountStore(database);
    this.#accountStore = accountStore;
    this.accounts = new ServiceAccounts({
      database,
      accounts: accountStore,
      organisations: this.organisations,
      access: this.store,
      publisher,
      clock,
    });
    const signingKeys = new SigningKeys({ database, access: this.store, publisher, clock, logger, sealingKeys: o.sealingKeys });
    const tokens = new AccessTokens({
      database,
      accounts: accountStore,
      access: this.store,
      signingKeys,
      verifier: new TokenVerifier({ store: this.store, clock, issuer, projectionWaitMs: 0 }),
      limiter: new AttemptLimiter(clock),
      publisher,
      clock,
      logger,
      issuer,
    });
    this.#keyMaintenance = new BackgroundLoop({
      name: 'signing-keys',
      intervalMs: KEY_MAINTENANCE_MS,
      run: async () => {
        await signingKeys.maintain();
        await this.#warnOfExpiry();
      },
      onError: (error) => logger.error({ err: error }, 'the signing keys could not be maintained; trying again later'),
    });
    this.providers = [
      { provide: SERVICE_ACCOUNTS, useValue: this.accounts },
      { provide: ACCESS_TOKENS, useValue: tokens },
      { provide: ACCESS_STORE, useValue: this.store },
    ];
  }

  /**
   * At the very first start creates an organisation and a service account that owns it, and returns its secret; `null` at every later one. Of several
   * replicas that start together exactly one gets the secret.
   */
  async bootstrap(o: { readonly organisationName?: string } = {}): Promise<FirstOwner | null> {
    return this.#database.transaction(async (tx) => {
      const organisation = await this.organisations.createFirst(tx, o.organisationName ?? 'Atrest', this.#clock.now());
      if (organisation === 'exists') return null;
      const { account, secret } = await this.accounts.createIn(tx, organisation.id, {
        name: 'First owner',
        description: 'Created at the first start.',
        orgRoles: ['ORG_OWNER'],
        secretExpiresAfterHours: FIRST_SECRET_HOURS,
      });
      return { orgId: organisation.id, clientId: account.clientId, secret: secret.value };
    });
  }

  /**
   * For an operator with access to the database when nobody has a secret of an owner any more: makes another owner of the first
   * organisation. `null` when there is no organisation yet. What others had stays as it is.
   */
  async recoverOwner(): Promise<FirstOwner | null> {
    const [organisation] = await this.organisations.all();
    if (organisation === undefined) return null;
    const { account, secret } = await this.accounts.create(organisation.id, {
      name: 'Recovered owner',
      description: "Created by an operator's recovery.",
      orgRoles: ['ORG_OWNER'],
      secretExpiresAfterHours: FIRST_SECRET_HOURS,
    });
    return { orgId: organisation.id, clientId: account.clientId, secret: secret.value };
  }

  /** Warns while the last secret of an organisation's last owner is about to expire: after that only an operator's recovery helps. */
  async #warnOfExpiry(): Promise<void> {
    const soon = new Date(this.#clock.now().getTime() + EXPIRY_WARNING_MS);
    for (const { orgId, expiresAt } of await this.#accountStore.organisationsLosingTheirOwners(soon)) {
      this.#logger.warn(
        { orgId, expiresAt },
        "the last secret of the organisation's owners expires: make a new one, or recover an owner later",
      );
    }
  }

  /** In the transaction that deletes a project: no service account keeps a role in it. */
  projectDeleted(tx: Transaction, projectId: string): Promise<void> {
    return this.accounts.projectDeleted(tx, projectId);
  }

  start(): void {
    this.#keyMaintenance.start();
  }

  stop(): Promise<void> {
    return this.#keyMaintenance.stop();
  }
}

/** Builds {@link FleetAccess}. */
export function createAccess(o: FleetAccessOptions): FleetAccess {
  return new FleetAccess(o);
}
