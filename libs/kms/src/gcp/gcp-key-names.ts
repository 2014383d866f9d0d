import { KeySettingsRefusedError } from '../errors.js';

/** The parts of `projects/…/locations/…/keyRings/…/cryptoKeys/…/cryptoKeyVersions/n`. */
export interface GcpKeyVersionName {
  /** The whole name. */
  readonly name: string;
  /** The name without the version: what a decryption asks for. */
  readonly keyName: string;
  readonly projectId: string;
  readonly location: string;
  readonly keyRing: string;
  readonly cryptoKey: string;
  /** Decimal, without leading zeros. */
  readonly version: string;
}

// Project ids may carry the domain of an old organisation ("example.com:project"); key rings and keys follow one rule of Cloud KMS.
const KEY = /^projects\/([a-z0-9.:-]{1,100})\/locations\/([a-z0-9-]{1,63})\/keyRings\/([\w-]{1,63})\/cryptoKeys\/([\w-]{1,63})$/;
const VERSION = /^(.+)\/cryptoKeyVersions\/([1-9]\d{0,17})$/;

/** The parts of a key version's resource name; null when the text is none. */
export function parseGcpKeyVersion(text: string): GcpKeyVersionName | null {
  const [, keyName = '', version = ''] = VERSION.exec(text) ?? [];
  const match = KEY.exec(keyName);
  if (match === null) return null;
  const [, projectId = '', location = '', keyRing = '', cryptoKey = ''] = match;
  return { name: text, keyName, projectId, location, keyRing, cryptoKey, version };
}

/**
 * As `parseGcpKeyVersion`, but says what is wrong.
 *
 * @throws KeySettingsRefusedError for anything but the resource name of a key version; nothing is trimmed or completed.
 */
export function requireGcpKeyVersion(text: string): GcpKeyVersionName {
  const parsed = parseGcpKeyVersion(text);
  if (parsed === null) throw new KeySettingsRefusedError('keyVersionResourceID', ruleFor(text));
  return parsed;
}

function ruleFor(text: string): string {
  if (text.trim() !== text) return 'must not begin or end with white space';
  if (/^arn:/i.test(text) || text.startsWith('alias/')) return 'names a key of AWS KMS, not of Google Cloud KMS';
  if (/^https?:\/\/[^/]*vault[^/]*\/keys\//i.test(text)) return 'names a key of Azure Key Vault, not of Google Cloud KMS';
  if (/^(https?:)?\/\//i.test(text)) return "must begin with 'projects/', without the address of the service";
  if (KEY.test(text)) return "names a key without its version: add '/cryptoKeyVersions/' and the version's number";
  if (KEY.test(text.replace(/\/cryptoKeyVersions\/[^/]*$/, '')))
    return "must end in the number of a version, without leading zeros, e.g. '/cryptoKeyVersions/1'";
  return 'must look like projects/…/locations/…/keyRings/…/cryptoKeys/…/cryptoKeyVersions/1';
}
