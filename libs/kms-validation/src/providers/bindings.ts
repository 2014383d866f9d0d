import type { KeyProviderName } from '@atrest/contracts';
import { awsBinding } from './aws-settings.js';
import { azureBinding } from './azure-settings.js';
import { gcpBinding } from './gcp-settings.js';
import { kmipBinding } from './kmip-settings.js';
import type { ProviderAttribute, ProviderBinding } from './provider-binding.js';

const BINDINGS: Readonly<Record<KeyProviderName, ProviderBinding>> = {
  AWS: awsBinding,
  AZURE: azureBinding,
  GCP: gcpBinding,
  KMIP: kmipBinding,
};

/** Every binding, in the order in which a PATCH is carried out. */
export const providerBindings: readonly ProviderBinding[] = Object.values(BINDINGS);

export const bindingOf = (provider: KeyProviderName): ProviderBinding => BINDINGS[provider];

/** The binding of a member of the API's body. */
export function bindingOfAttribute(attribute: ProviderAttribute): ProviderBinding {
  const found = providerBindings.find((binding) => binding.attribute === attribute);
  if (found === undefined) throw new TypeError(`no provider is called ${attribute}`);
  return found;
}
