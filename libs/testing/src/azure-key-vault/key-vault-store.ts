import { generateKeyPair, randomBytes, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import type { Clock } from '@atrest/platform-time';
import { KeyVaultFailure } from './azure-failures.js';

const newKeyPair = promisify(generateKeyPair);

export interface DevelopmentVaultKeyVersion {
  readonly version: string;
  readonly kty: 'RSA' | 'RSA-HSM' | 'EC';
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
  operations: readonly string[];
  enabled: boolean;
  /** Seconds since 1970, as in the API. */
  notBefore: number | null;
  expires: number | null;
  readonly created: number;
  updated: number;
}

export interface DevelopmentVaultKey {
  readonly host: string;
  readonly name: string;
  /** Oldest first. */
  readonly versions: DevelopmentVaultKeyVersion[];
  /** Milliseconds since 1970; null unless deleted. */
  deletedAt: number | null;
}

/** What a new version of a key is made of. */
export interface NewKeyVersion {
  readonly kty?: 'RSA' | 'RSA-HSM' | 'EC';
  /** Bits of an RSA key. */
  readonly keySize?: number;
  readonly operations?: readonly string[];
}

export const RECOVERABLE_DAYS = 90;
const RSA_OPERATIONS = ['encrypt', 'decrypt', 'sign', 'verify', 'wrapKey', 'unwrapKey'];
const DAY_MS = 24 * 3_600_000;

/** The keys of all vaults, in memory, with soft delete always on as in today's Azure. */
export class KeyVaultStore {
  private keys: DevelopmentVaultKey[] = [];

  constructor(private readonly clock: Clock) {}

  get seconds(): number {
    return Math.floor(this.clock.now().getTime() / 1_000);
  }

  /** A new key, or a new version of one that exists. */
  async create(host: string, name: string, o: NewKeyVersion): Promise<{ key: DevelopmentVaultKey; version: DevelopmentVaultKeyVersion }> {
    const { kty = 'RSA', keySize = 2048 } = o;
    if (kty !== 'EC' && ![2048, 3072, 4096].includes(keySize))
      throw new KeyVaultFailure(400, 'BadParameter', 'Property key_size has invalid value');
    const pair = kty === 'EC' ? await newKeyPair('ec', { namedCurve: 'P-256' }) : await newKeyPair('rsa', { modulusLength: keySize });
    const existing = this.find(host, name);
    if (existing !== undefined && existing.deletedAt !== null) {
      const words = `Key ${name} is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the key can only be recovered or purged.`;
      throw new KeyVaultFailure(409, 'Conflict', words, 'ObjectIsDeletedButRecoverable');
    }
    const key = existing ?? { host, name, versions: [], deletedAt: null };
    if (existing === undefined) this.keys.push(key);
    const version: DevelopmentVaultKeyVersion = {
      ...pair,
      version: randomBytes(16).toString('hex'),
      kty,
      operations: o.operations ?? (kty === 'EC' ? ['sign', 'verify'] : RSA_OPERATIONS),
      enabled: true,
      notBefore: null,
      expires: null,
      created: this.seconds,
      updated: this.seconds,
    };
    key.versions.push(version);
    return { key, version };
  }

  /** The named version, or the newest for ''; fails as Key Vault does when there is none. */
  version(host: string, name: string, version: string): { key: DevelopmentVaultKey; version: DevelopmentVaultKeyVersion } {
    const key = this.find(host, name);
    const found = version === '' ? key?.versions.at(-1) : key?.versions.find((one) => one.version === version);
    if (key === undefined || key.deletedAt !== null || found === undefined) throw notFound(version === '' ? name : `${name}/${version}`);
    return { key, version: found };
  }

  deleted(host: string, name: string): DevelopmentVaultKey {
    const key = this.find(host, name);
    if (key === undefined || key.deletedAt === null) throw notFound(name);
    return key;
  }

  delete(host: string, name: string): DevelopmentVaultKey {
    const { key } = this.version(host, name, '');
    key.deletedAt = this.clock.now().getTime();
    return key;
  }

  recover(host: string, name: string): DevelopmentVaultKey {
    const key = this.deleted(host, name);
    key.deletedAt = null;
    return key;
  }

  purge(host: string, name: string): void {
    const key = this.deleted(host, name);
    this.keys = this.keys.filter((one) => one !== key);
  }

  private find(host: string, name: string): DevelopmentVaultKey | undefined {
    const purged = this.clock.now().getTime() - RECOVERABLE_DAYS * DAY_MS;
    this.keys = this.keys.filter(({ deletedAt }) => deletedAt === null || deletedAt > purged);
    return this.keys.find((key) => key.host === host && key.name.toLowerCase() === name.toLowerCase());
  }
}

const notFound = (what: string): KeyVaultFailure =>
  new KeyVaultFailure(
    404,
    'KeyNotFound',
    `A key with (name/id) ${what} was not found in this key vault. If you recently deleted this key you may be able to recover it using the correct recovery command.`,
  );

/** When a deleted key will be gone for good, in seconds since 1970. */
export const purgeDateOf = (deletedAt: number): number => Math.floor((deletedAt + RECOVERABLE_DAYS * DAY_MS) / 1_000);
