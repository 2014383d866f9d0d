import { createHash } from 'node:crypto';
import type { KeyProviderName } from '@atrest/contracts';
import type { KeyProvider, WrappedBlob } from '@atrest/kms';
import type { SealingKeys } from '@atrest/platform-auth';
import { sealingContext, type KeyConfiguration } from './key-configuration.js';
import { bindingOf } from './providers/bindings.js';
import type { ProviderSettings } from './providers/provider-binding.js';

/** A role that the project authorised (cloudProviderAccess), as an adapter needs it to act under it. */
export type AuthorisedRole =
  | { readonly provider: 'AWS'; readonly roleId: string; readonly roleArn: string; readonly externalId: string }
  | { readonly provider: 'AZURE'; readonly roleId: string; readonly tenantId: string; readonly appId: string }
  | { readonly provider: 'GCP'; readonly roleId: string; readonly serviceAccount: string };

/** Knows the roles of projects. */
export interface RoleDirectory {
  /** Null when the project has no such role, or has not authorised it. */
  authorisedRole(projectId: string, roleId: string): Promise<AuthorisedRole | null>;
}

/** Credentials in clear: a secret of the provider's own form, or a role. */
export type Credentials = { readonly kind: 'secret'; readonly secret: string } | { readonly kind: 'role'; readonly role: AuthorisedRole };

/** A key and how to reach it: what an adapter needs. */
export interface KeyReference {
  readonly provider: KeyProviderName;
  readonly settings: ProviderSettings;
  readonly credentials: Credentials;
}

/** Makes a client for a key of one provider. */
export type ProviderFactory = (key: KeyReference) => KeyProvider;
export type ProviderFactories = Readonly<Partial<Record<KeyProviderName, ProviderFactory>>>;

/** The settings name a role that the project has not, or has not authorised (any more). */
export class RoleNotAuthorisedError extends Error {
  readonly code = 'KMS_VALIDATION.ROLE_NOT_AUTHORISED';
  override readonly name = 'RoleNotAuthorisedError';

  constructor(readonly roleId: string) {
    super(`The role ${roleId} is not authorised in this project.`);
  }
}

type Stored = Pick<KeyConfiguration, 'id' | 'projectId' | 'provider' | 'settings' | 'sealedCredentials'>;

/** Opens sealed credentials and makes clients from them. The only place where credentials are in clear. */
export class KeyAccess {
  constructor(
    private readonly sealingKeys: SealingKeys,
    private readonly factories: ProviderFactories,
    private readonly roles: RoleDirectory,
  ) {}

  /** Whether this installation can reach keys of the provider. */
  supports(provider: KeyProviderName): boolean {
    return this.factories[provider] !== undefined;
  }

  /** Id of the key that seals now. */
  get sealingKeyId(): string {
    return this.sealingKeys.currentKeyId;
  }

  /** Seals a secret; of a role there is none, which is sealed all the same, so that every row has the same form. */
  seal(configurationId: string, secret: string | null): string {
    return this.sealingKeys.seal(JSON.stringify({ secret }), sealingContext(configurationId));
  }

  /** The stored secret, null for a role. Throws `SealingKeyUnknownError` or `SealBrokenError`. */
  openSecret({ id, sealedCredentials }: Pick<KeyConfiguration, 'id' | 'sealedCredentials'>): string | null {
    const opened = JSON.parse(this.sealingKeys.openText(sealedCredentials, sealingContext(id))) as Record<string, unknown>;
    // What the first release sealed for AWS.
    const secret = opened['secret'] ?? opened['secretAccessKey'] ?? null;
    return typeof secret === 'string' ? secret : null;
  }

  /** The same credentials under the current key. Throws like {@link openSecret}. */
  reseal(configuration: Pick<KeyConfiguration, 'id' | 'sealedCredentials'>): string {
    return this.seal(configuration.id, this.openSecret(configuration));
  }

  /** The stored key with its credentials in clear. Throws like {@link openSecret}, and `RoleNotAuthorisedError`. */
  async reference(configuration: Stored): Promise<KeyReference> {
    const { projectId, provider, settings } = configuration;
    return this.referenceWith(projectId, provider, settings, this.openSecret(configuration));
  }

  /** A key that is not stored yet. Throws `RoleNotAuthorisedError`. */
  async referenceWith(
    projectId: string,
    provider: KeyProviderName,
    settings: ProviderSettings,
    secret: string | null,
  ): Promise<KeyReference> {
    if (secret !== null) return { provider, settings, credentials: { kind: 'secret', secret } };
    const roleId = String(settings['roleId'] ?? '');
    const role = await this.roles.authorisedRole(projectId, roleId);
    if (role === null || role.provider !== provider) throw new RoleNotAuthorisedError(roleId);
    return { provider, settings, credentials: { kind: 'role', role } };
  }

  /** A client. The caller closes it. */
  connect(key: KeyReference): KeyProvider {
    const factory = this.factories[key.provider];
    if (factory === undefined) throw new TypeError(`This installation reaches no keys of ${key.provider}.`);
    return factory(key);
  }
}

/**
 * What two configurations have in common when one check can answer for both: the same key, resolved and as it was named, reached with the same
 * credentials in the same way. A digest, because credentials are part of it; each is random and long, so it tells nothing about them.
 */
export function checkedKeyIdOf({ provider, settings, credentials }: KeyReference, { resolvedKeyId, keyVersion }: WrappedBlob): string {
  const decisive = bindingOf(provider)
    .fields.filter(({ kind }) => kind !== 'note')
    .map(({ name }) => settings[name] ?? null);
  return createHash('sha256')
    .update(JSON.stringify([provider, decisive, resolvedKeyId, keyVersion, credentials]))
    .digest('hex');
}
