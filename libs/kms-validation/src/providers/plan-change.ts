import { refusal, refused, type Refused } from '../refusal.js';
import type { CredentialMethod, ProviderBinding, ProviderSettings, SettingValue } from './provider-binding.js';

/** What becomes of the credentials: the stored ones stay, or others take their place. A role has no secret of its own. */
export type CredentialChange = { readonly kind: 'keep' } | { readonly kind: 'new'; readonly secret: string | null };

/** What a PATCH of one provider asks for, compared with what is stored. */
export type ProviderPlan =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'remove' }
  | { readonly kind: 'create'; readonly settings: ProviderSettings; readonly secret: string | null }
  /** The same key under new credentials: allowed even when the present ones are refused, because that is how a revocation is repaired. */
  | { readonly kind: 'replace-credentials'; readonly settings: ProviderSettings; readonly credentials: CredentialChange }
  /** Another key. */
  | { readonly kind: 'replace-key'; readonly settings: ProviderSettings; readonly credentials: CredentialChange }
  | Refused;

/** The provider's part of a PATCH, after its schema: every field may be absent or null. */
export type ProviderChange = Readonly<Record<string, unknown>>;

const NOTHING: ProviderPlan = { kind: 'nothing' };

/**
 * Compares a change with the present settings. Null and absent fields stay as they are, `valid` is ignored, and a body that changes
 * nothing (an empty one, or the object that was read) is nothing to do.
 */
export function planChange(
  binding: ProviderBinding,
  current: ProviderSettings | null,
  change: ProviderChange | null | undefined,
): ProviderPlan {
  if (change === null || change === undefined) return NOTHING;
  if (change['enabled'] === false) return current === null ? NOTHING : { kind: 'remove' };
  if (change['requirePrivateNetworking'] === true) {
    const detail = 'requirePrivateNetworking is not supported: how the KMS is reached is set by the operator of this installation.';
    return refused(refusal('INVALID_ATTRIBUTE', detail, ['requirePrivateNetworking']));
  }
  const given = givenFields(binding, change);
  return current === null ? planCreation(binding, given, change['enabled'] === true) : planReplacement(binding, current, given);
}

function givenFields(binding: ProviderBinding, change: ProviderChange): ReadonlyMap<string, SettingValue> {
  const names = [...binding.fields.map(({ name }) => name), ...binding.methods.flatMap(({ secret }) => (secret === null ? [] : [secret]))];
  return new Map(
    names.flatMap((name) => {
      const value = change[name];
      return value === null || value === undefined ? [] : [[name, value as SettingValue]];
    }),
  );
}

const fieldsOf = (method: CredentialMethod): string[] => [...method.identity, ...(method.secret === null ? [] : [method.secret])];

/** The method of which something is given; a role goes before static credentials, which are then not used (as the API describes it). */
function methodGiven(binding: ProviderBinding, given: ReadonlyMap<string, SettingValue>): CredentialMethod | undefined {
  return binding.methods.toReversed().find((method) => fieldsOf(method).some((name) => given.has(name)));
}

function methodStored(binding: ProviderBinding, current: ProviderSettings): CredentialMethod {
  const stored = binding.methods.toReversed().find((method) => method.identity.some((name) => name in current));
  return stored ?? firstMethod(binding);
}

function firstMethod(binding: ProviderBinding): CredentialMethod {
  const [first] = binding.methods;
  if (first === undefined) throw new TypeError(`The binding of ${binding.provider} has no credential method.`);
  return first;
}

function planCreation(binding: ProviderBinding, given: ReadonlyMap<string, SettingValue>, enabled: boolean): ProviderPlan {
  if (given.size === 0 && !enabled) return NOTHING;
  const method = methodGiven(binding, given) ?? firstMethod(binding);
  const values = new Map([...Object.entries(binding.defaults), ...given]);
  const needed = [...binding.fields.filter(({ kind }) => kind !== 'identity').map(({ name }) => name), ...fieldsOf(method)];
  const missing = [...(enabled ? [] : ['enabled']), ...needed.filter((name) => !values.has(name))];
  if (missing.length > 0) return missingAttributes(binding, missing);
  const settings = settingsOf(binding, method, values);
  const secret = secretOf(method, given);
  const wrong = binding.refuseSettings(settings) ?? (secret === null ? null : binding.refuseSecret(secret));
  return wrong ? refused(wrong) : { kind: 'create', settings, secret };
}

function missingAttributes(binding: ProviderBinding, names: readonly string[]): Refused {
  const detail = `Enabling ${binding.attribute} for the first time needs ${names.map((name) => `${binding.attribute}.${name}`).join(', ')}.`;
  return refused(refusal(names.length === 1 ? 'MISSING_ATTRIBUTE' : 'MISSING_ATTRIBUTES', detail, names));
}

function planReplacement(binding: ProviderBinding, current: ProviderSettings, given: ReadonlyMap<string, SettingValue>): ProviderPlan {
  const before = methodStored(binding, current);
  const method = methodAfter(binding, before, current, given);
  const settings = settingsOf(binding, method, new Map([...Object.entries(current), ...given]));
  const secret = secretOf(method, given);
  const changed = (kind: 'key' | 'identity' | 'note'): boolean =>
    binding.fields.some((field) => field.kind === kind && !sameValue(settings[field.name], current[field.name]));
  const [keyChanged, identityChanged] = [changed('key'), changed('identity')];
  if (!keyChanged && !identityChanged && !changed('note') && secret === null) return NOTHING;
  if (identityChanged && method.secret !== null && secret === null) {
    const names = method.identity.map((name) => `${binding.attribute}.${name}`).join(', ');
    const detail = `${binding.attribute}.${method.secret} must be given again when one of these changes: ${names || 'the credentials'}.`;
    return refused(refusal('MISSING_ATTRIBUTE', detail, [method.secret]));
  }
  const missing = method.identity.filter((name) => settings[name] === undefined);
  if (missing.length > 0) return missingAttributes(binding, missing);
  const wrong = binding.refuseSettings(settings) ?? (secret === null ? null : binding.refuseSecret(secret));
  if (wrong) return refused(wrong);
  const credentials: CredentialChange = secret === null && !identityChanged ? { kind: 'keep' } : { kind: 'new', secret };
  return { kind: keyChanged ? 'replace-key' : 'replace-credentials', settings, credentials };
}

/** What was read and is sent back must not look like a change of the method, so only what differs counts, and a secret. */
function methodAfter(
  binding: ProviderBinding,
  before: CredentialMethod,
  current: ProviderSettings,
  given: ReadonlyMap<string, SettingValue>,
): CredentialMethod {
  const differing = new Map([...given].filter(([name, value]) => !sameValue(value, current[name])));
  const wanted = methodGiven(binding, differing);
  // A role that stays is not left by an echo of other fields, but by a new secret.
  return wanted === undefined || wanted === before ? before : wanted;
}

const secretOf = (method: CredentialMethod, given: ReadonlyMap<string, SettingValue>): string | null => {
  const secret = method.secret === null ? undefined : given.get(method.secret);
  return typeof secret === 'string' ? secret : null;
};

/** The fields that are kept: those of the key, notes, and of the identity only the ones of the method in use. */
function settingsOf(binding: ProviderBinding, method: CredentialMethod, values: ReadonlyMap<string, SettingValue>): ProviderSettings {
  const kept = binding.fields.filter(({ name, kind }) => kind !== 'identity' || method.identity.includes(name));
  return Object.fromEntries(
    kept.flatMap(({ name }): [string, SettingValue][] => {
      const value = values.get(name);
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

const sameValue = (a: SettingValue | undefined, b: SettingValue | undefined): boolean => JSON.stringify(a) === JSON.stringify(b);
