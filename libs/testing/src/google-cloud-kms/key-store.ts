import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { Clock } from '@atrest/platform-time';
import { RpcFailure } from './rpc-failure.js';

/** States of a key version, with the names of the API. */
export type VersionState =
  | 'ENABLED'
  | 'DISABLED'
  | 'DESTROYED'
  | 'DESTROY_SCHEDULED'
  | 'PENDING_GENERATION'
  | 'PENDING_IMPORT'
  | 'IMPORT_FAILED'
  | 'GENERATION_FAILED'
  | 'PENDING_EXTERNAL_DESTRUCTION'
  | 'EXTERNAL_DESTRUCTION_FAILED';

export type KeyPurpose = 'ENCRYPT_DECRYPT' | 'ASYMMETRIC_DECRYPT' | 'ASYMMETRIC_SIGN' | 'MAC';

export interface StoredVersion {
  readonly name: string;
  readonly number: number;
  readonly createdAt: Date;
  /** Gone when the version is destroyed. */
  material: Buffer | null;
  state: VersionState;
  destroyAt: Date | null;
  destroyedAt: Date | null;
}

export interface StoredKey {
  readonly name: string;
  readonly purpose: KeyPurpose;
  readonly createdAt: Date;
  /** Seconds; null without automatic rotation. */
  readonly rotationPeriod: number | null;
  readonly nextRotationAt: Date | null;
  readonly versions: Map<number, StoredVersion>;
  primary: number;
}

/*
 * A ciphertext: 1 byte format 0xD2, 4 bytes number of the version, 12 bytes nonce, AES-256-GCM ciphertext, 16 bytes tag.
 * Authenticated: format, version and the additional data of the request.
 */
const FORMAT = 0xd2;
const NONCE_AT = 5;
const BODY_AT = NONCE_AT + 12;
const TAG_LENGTH = 16;

const ALGORITHMS: Readonly<Record<KeyPurpose, string>> = {
  ENCRYPT_DECRYPT: 'GOOGLE_SYMMETRIC_ENCRYPTION',
  ASYMMETRIC_DECRYPT: 'RSA_DECRYPT_OAEP_2048_SHA256',
  ASYMMETRIC_SIGN: 'RSA_SIGN_PSS_2048_SHA256',
  MAC: 'HMAC_SHA256',
};

/** Keys and their versions, in memory. */
export class GoogleCloudKeyStore {
  private readonly keys = new Map<string, StoredKey>();

  constructor(private readonly clock: Clock) {}

  createKey(o: { name: string; purpose: KeyPurpose; rotationPeriod: number | null; nextRotationAt: Date | null }): StoredKey {
    const key: StoredKey = { ...o, createdAt: this.clock.now(), versions: new Map(), primary: 1 };
    this.keys.set(o.name, key);
    this.addVersion(key);
    return key;
  }

  /** A new version, which becomes the primary one, as rotation does. */
  addVersion(key: StoredKey): StoredVersion {
    const number = key.versions.size + 1;
    const version: StoredVersion = {
      name: `${key.name}/cryptoKeyVersions/${number}`,
      number,
      createdAt: this.clock.now(),
      material: randomBytes(32),
      state: 'ENABLED',
      destroyAt: null,
      destroyedAt: null,
    };
    key.versions.set(number, version);
    key.primary = number;
    return version;
  }

  deleteKey(name: string): void {
    this.keys.delete(name);
  }

  algorithmOf(key: StoredKey): string {
    return ALGORITHMS[key.purpose];
  }

  /** Fails as the API does for a name that is malformed or unknown. */
  key(name: string): StoredKey {
    if (!/^projects\/[^/]+\/locations\/[^/]+\/keyRings\/[^/]+\/cryptoKeys\/[^/]+$/.test(name)) {
      throw new RpcFailure('INVALID_ARGUMENT', 'Invalid resource field value in the request.', 'RESOURCE_NAME_INVALID');
    }
    const key = this.keys.get(name);
    if (key === undefined) throw new RpcFailure('NOT_FOUND', `CryptoKey ${name} not found.`);
    return key;
  }

  version(name: string): { readonly key: StoredKey; readonly version: StoredVersion } {
    const match = /^(.+)\/cryptoKeyVersions\/([1-9]\d*)$/.exec(name);
    if (match === null) throw new RpcFailure('INVALID_ARGUMENT', 'Invalid resource field value in the request.', 'RESOURCE_NAME_INVALID');
    const key = this.key(match[1] ?? '');
    const version = key.versions.get(Number(match[2]));
    if (version === undefined) throw new RpcFailure('NOT_FOUND', `CryptoKeyVersion ${name} not found.`);
    this.destroyWhenDue(version);
    return { key, version };
  }

  /** A version that may be used now; fails as the API does for every other state. */
  usable(key: StoredKey, version: StoredVersion): Buffer {
    this.destroyWhenDue(version);
    if (key.purpose !== 'ENCRYPT_DECRYPT') {
      throw new RpcFailure(
        'INVALID_ARGUMENT',
        `The purpose ${key.purpose} of ${key.name} is not valid for this operation; it needs ENCRYPT_DECRYPT.`,
      );
    }
    if (version.state !== 'ENABLED' || version.material === null) {
      throw new RpcFailure('FAILED_PRECONDITION', `${version.name} is not enabled, current state is: ${version.state}.`);
    }
    return version.material;
  }

  destroy(version: StoredVersion): void {
    version.state = 'DESTROYED';
    version.material = null;
    version.destroyedAt = this.clock.now();
  }

  private destroyWhenDue(version: StoredVersion): void {
    if (version.state === 'DESTROY_SCHEDULED' && version.destroyAt !== null && version.destroyAt <= this.clock.now()) this.destroy(version);
  }
}

export function seal(number: number, material: Buffer, plaintext: Uint8Array, additionalData: Uint8Array): Buffer {
  const head = Buffer.alloc(NONCE_AT);
  head.writeUInt8(FORMAT, 0);
  head.writeUInt32BE(number, 1);
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', material, nonce).setAAD(Buffer.concat([head, additionalData]));
  const body = Buffer.concat([cipher.update(plaintext), cipher.final()]);
  return Buffer.concat([head, nonce, body, cipher.getAuthTag()]);
}

/** The version that sealed a ciphertext; null when it is none of ours. */
export function versionOf(ciphertext: Buffer): number | null {
  return ciphertext.length >= BODY_AT + TAG_LENGTH && ciphertext[0] === FORMAT ? ciphertext.readUInt32BE(1) : null;
}

/** Null when key, additional data or bytes are not the ones it was sealed with. */
export function open(material: Buffer, ciphertext: Buffer, additionalData: Uint8Array): Buffer | null {
  const decipher = createDecipheriv('aes-256-gcm', material, ciphertext.subarray(NONCE_AT, BODY_AT), { authTagLength: TAG_LENGTH })
    .setAAD(Buffer.concat([ciphertext.subarray(0, NONCE_AT), additionalData]))
    .setAuthTag(ciphertext.subarray(-TAG_LENGTH));
  const plaintext = decipher.update(ciphertext.subarray(BODY_AT, -TAG_LENGTH));
  try {
    return Buffer.concat([plaintext, decipher.final()]);
  } catch {
    return null;
  }
}
