import type { AtlasAwsRegion, KeyProvider } from '@atrest/kms';
import type { SealingKeys } from '@atrest/platform-auth';
import { sealingContext, type AwsCredentials, type KeyConfiguration } from './key-configuration.js';

/** What an adapter needs to reach one AWS key. */
export interface AwsKeyAccess extends AwsCredentials {
  readonly keyId: string;
  readonly region: AtlasAwsRegion;
}

/** Makes a client for a key. The default is AWS through `@atrest/kms`. */
export type ProviderFactory = (access: AwsKeyAccess) => KeyProvider;

/** Opens sealed credentials and makes clients from them. The only place where credentials are in clear. */
export class KeyAccess {
  constructor(
    private readonly sealingKeys: SealingKeys,
    private readonly factory: ProviderFactory,
  ) {}

  /** Id of the key that seals now. */
  get sealingKeyId(): string {
    return this.sealingKeys.currentKeyId;
  }

  seal(configurationId: string, credentials: AwsCredentials): string {
    return this.sealingKeys.seal(JSON.stringify(credentials), sealingContext(configurationId));
  }

  /** Throws `SealingKeyUnknownError` or `SealBrokenError`. */
  open(configuration: Pick<KeyConfiguration, 'id' | 'sealedCredentials'>): AwsCredentials {
    return JSON.parse(this.sealingKeys.openText(configuration.sealedCredentials, sealingContext(configuration.id))) as AwsCredentials;
  }

  /** The same credentials under the current key. Throws like {@link open}. */
  reseal(configuration: Pick<KeyConfiguration, 'id' | 'sealedCredentials'>): string {
    return this.seal(configuration.id, this.open(configuration));
  }

  /** A client for the stored settings. Throws like {@link open}. The caller closes it. */
  connect(configuration: Pick<KeyConfiguration, 'id' | 'sealedCredentials' | 'settings'>): KeyProvider {
    return this.connectWith(configuration.settings, this.open(configuration));
  }

  /** A client for settings that are not stored yet. The caller closes it. */
  connectWith(
    settings: { readonly customerMasterKeyID: string; readonly region: AtlasAwsRegion },
    credentials: AwsCredentials,
  ): KeyProvider {
    return this.factory({ keyId: settings.customerMasterKeyID, region: settings.region, ...credentials });
  }
}
