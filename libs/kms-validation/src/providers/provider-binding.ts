import type { DefinitiveReason, KeyProviderName } from '@atrest/contracts';
import type { Refusal, RefusalCode } from '../refusal.js';

/** The providers' names in the body of encryptionAtRest, and in paths below it. */
export const PROVIDER_ATTRIBUTES = ['awsKms', 'azureKeyVault', 'googleCloudKms', 'kmip'] as const;
export type ProviderAttribute = (typeof PROVIDER_ATTRIBUTES)[number];

export type SettingValue = string | number | readonly string[];

/** What a project says about its key, by the API's field names, without any secret. Written and read by the provider's binding only. */
export type ProviderSettings = Readonly<Record<string, SettingValue>>;

/**
 * One field of a provider's settings.
 * - `key`: says which customer key it is. Another one needs the present key to be usable.
 * - `identity`: says who asks, or how the KMS is reached. Another one needs the secret again.
 * - `note`: asked for by the API, kept and answered; nothing depends on it.
 */
export interface SettingField {
  readonly name: string;
  readonly kind: 'key' | 'identity' | 'note';
}

/** One way to prove who we are: the fields that it needs beside the key, and its secret. */
export interface CredentialMethod {
  /** Field names of kind `identity`. */
  readonly identity: readonly string[];
  /** The write-only field; null where there is none (a role). */
  readonly secret: string | null;
}

/** The command with which a key's approaching end is called off, and in words what it does. */
export interface KeepKeyAdvice {
  readonly command: string;
  readonly explanation: string;
}

/**
 * Everything that differs between providers in this service: fields and their rules, what refusals are called, what to tell people. How the key is
 * asked is the adapter's (`@atrest/kms`).
 */
export interface ProviderBinding {
  readonly provider: KeyProviderName;
  readonly attribute: ProviderAttribute;
  /** The KMS, as people call it. */
  readonly kms: string;
  readonly fields: readonly SettingField[];
  /** The first is what a first enabling is asked for when none is recognisable. */
  readonly methods: readonly CredentialMethod[];
  /** Fields that a first enabling may leave out, with their values then. */
  readonly defaults: ProviderSettings;
  /** Checks what can be checked without asking the KMS. Nothing is trimmed or corrected: a stored name is the name that was given. */
  readonly refuseSettings: (settings: ProviderSettings) => Refusal | null;
  readonly refuseSecret: (secret: string) => Refusal | null;
  /** The key as the project named it, and where it lives. */
  readonly keyOf: (settings: ProviderSettings) => { readonly keyId: string; readonly region: string | null };
  /** Whether the key is named by something that can be moved to another key; then each check wraps as well. */
  readonly namesAlias: (settings: ProviderSettings) => boolean;
  /** The code with which new settings are refused for a verdict, and what to do about it. */
  readonly refusals: Readonly<Record<DefinitiveReason, readonly [RefusalCode, string]>>;
  /** What lets the credentials wrap, e.g. `Allow kms:Encrypt on it.` */
  readonly wrapAdvice: string;
  /** How the approaching end of the key is called off. */
  readonly keepKey: (settings: ProviderSettings, resolvedKeyId: string, ending: 'deletion' | 'expiry') => KeepKeyAdvice;
}

/** A text field's value; '' where the settings have none. */
export function textOf(settings: ProviderSettings, name: string): string {
  const value = settings[name];
  return typeof value === 'string' ? value : '';
}
