import type { Clock } from '@atrest/platform-time';
import type { protos } from '@google-cloud/kms';
import { crc32c } from './crc32c.js';
import type { GoogleCloudFault } from './faults.js';
import { open, seal, versionOf, type GoogleCloudKeyStore, type StoredKey, type StoredVersion } from './key-store.js';
import { RpcFailure } from './rpc-failure.js';

type Api = typeof protos.google.cloud.kms.v1;
type Message<Name extends keyof Api> = Api[Name] extends new (...args: never[]) => infer Instance ? Instance : never;
type Fields = protos.google.cloud.kms.v1.ICryptoKeyVersion;

/** A request's method, as the API names it, with its fields. */
export type Rpc =
  | 'Encrypt'
  | 'Decrypt'
  | 'GetCryptoKey'
  | 'GetCryptoKeyVersion'
  | 'UpdateCryptoKeyVersion'
  | 'DestroyCryptoKeyVersion'
  | 'RestoreCryptoKeyVersion';

/** The IAM permission that a method needs. */
export const PERMISSIONS: Readonly<Record<Rpc, string>> = {
  Encrypt: 'cloudkms.cryptoKeyVersions.useToEncrypt',
  Decrypt: 'cloudkms.cryptoKeyVersions.useToDecrypt',
  GetCryptoKey: 'cloudkms.cryptoKeys.get',
  GetCryptoKeyVersion: 'cloudkms.cryptoKeyVersions.get',
  UpdateCryptoKeyVersion: 'cloudkms.cryptoKeyVersions.update',
  DestroyCryptoKeyVersion: 'cloudkms.cryptoKeyVersions.destroy',
  RestoreCryptoKeyVersion: 'cloudkms.cryptoKeyVersions.restore',
};

/** Days that a version waits for its destruction, unless its key says otherwise. */
const DESTROY_DELAY_MS = 30 * 24 * 3_600_000;
const MAX_BYTES = 64 * 1024;

/** The methods of the key management service, with the checks in the API's order: name, state, purpose, checksums. */
export class GoogleCloudOperations {
  constructor(
    private readonly store: GoogleCloudKeyStore,
    private readonly clock: Clock,
  ) {}

  encrypt(request: Message<'EncryptRequest'>, fault: GoogleCloudFault | null): protos.google.cloud.kms.v1.IEncryptResponse {
    const { key, version } = this.toEncrypt(request.name);
    const material = this.store.usable(key, version);
    const plaintext = bytesOf(request.plaintext);
    const additionalData = bytesOf(request.additionalAuthenticatedData);
    if (plaintext.length === 0) throw new RpcFailure('INVALID_ARGUMENT', 'The plaintext is empty.');
    if (plaintext.length > MAX_BYTES || additionalData.length > MAX_BYTES)
      throw new RpcFailure('INVALID_ARGUMENT', 'The request is too large.');
    const seen = fault?.kind !== 'unverified';
    const verifiedPlaintext = seen && verified('plaintext', damaged(fault, plaintext), request.plaintextCrc32c);
    const verifiedData = seen && verified('additional_authenticated_data', additionalData, request.additionalAuthenticatedDataCrc32c);
    const ciphertext = seal(version.number, material, plaintext, additionalData);
    return {
      name: version.name,
      ciphertext,
      ciphertextCrc32c: { value: sumFor(fault, ciphertext) },
      verifiedPlaintextCrc32c: verifiedPlaintext,
      verifiedAdditionalAuthenticatedDataCrc32c: verifiedData,
      protectionLevel: 'SOFTWARE',
    };
  }

  decrypt(request: Message<'DecryptRequest'>, fault: GoogleCloudFault | null): protos.google.cloud.kms.v1.IDecryptResponse {
    // A version may not be named here: the service finds it by the ciphertext.
    const key = this.store.key(request.name);
    const ciphertext = bytesOf(request.ciphertext);
    const additionalData = bytesOf(request.additionalAuthenticatedData);
    verified('ciphertext', damaged(fault, ciphertext), request.ciphertextCrc32c);
    verified('additional_authenticated_data', additionalData, request.additionalAuthenticatedDataCrc32c);
    const version = key.versions.get(versionOf(ciphertext) ?? 0);
    if (version === undefined)
      throw new RpcFailure('INVALID_ARGUMENT', "Decryption failed: verify that 'name' refers to the correct CryptoKey.");
    const material = this.store.usable(key, version);
    const opened = open(material, ciphertext, additionalData);
    if (opened === null) throw new RpcFailure('INVALID_ARGUMENT', "Decryption failed: verify that 'name' refers to the correct CryptoKey.");
    const plaintext = fault?.kind === 'wrong-plaintext' ? Buffer.from(opened.map((byte) => byte ^ 0xff)) : opened;
    return {
      plaintext,
      plaintextCrc32c: { value: sumFor(fault, plaintext) },
      usedPrimary: version.number === key.primary,
      protectionLevel: 'SOFTWARE',
    };
  }

  getCryptoKey(request: Message<'GetCryptoKeyRequest'>): protos.google.cloud.kms.v1.ICryptoKey {
    const key = this.store.key(request.name);
    const primary = key.versions.get(key.primary);
    return {
      name: key.name,
      purpose: key.purpose,
      createTime: timestamp(key.createdAt),
      ...(primary !== undefined && { primary: this.describe(key, primary) }),
      ...(key.rotationPeriod !== null && { rotationPeriod: { seconds: key.rotationPeriod } }),
      ...(key.nextRotationAt !== null && { nextRotationTime: timestamp(key.nextRotationAt) }),
      destroyScheduledDuration: { seconds: DESTROY_DELAY_MS / 1000 },
    };
  }

  getCryptoKeyVersion(request: Message<'GetCryptoKeyVersionRequest'>): Fields {
    const { key, version } = this.store.version(request.name);
    return this.describe(key, version);
  }

  updateCryptoKeyVersion(request: Message<'UpdateCryptoKeyVersionRequest'>): Fields {
    const { key, version } = this.store.version(request.cryptoKeyVersion?.name ?? '');
    const state = STATE_NAMES[Number(request.cryptoKeyVersion?.state)];
    if (request.updateMask?.paths?.join() !== 'state' || (state !== 'ENABLED' && state !== 'DISABLED')) {
      throw new RpcFailure('INVALID_ARGUMENT', 'Only the state can be updated here, to ENABLED or DISABLED.');
    }
    if (version.state !== 'ENABLED' && version.state !== 'DISABLED') {
      throw new RpcFailure('FAILED_PRECONDITION', `${version.name} cannot be updated, current state is: ${version.state}.`);
    }
    version.state = state;
    return this.describe(key, version);
  }

  destroyCryptoKeyVersion(request: Message<'DestroyCryptoKeyVersionRequest'>): Fields {
    const { key, version } = this.store.version(request.name);
    if (version.state === 'DESTROYED' || version.state === 'DESTROY_SCHEDULED') {
      throw new RpcFailure('FAILED_PRECONDITION', `${version.name} cannot be destroyed, current state is: ${version.state}.`);
    }
    version.state = 'DESTROY_SCHEDULED';
    version.destroyAt = new Date(this.clock.now().getTime() + DESTROY_DELAY_MS);
    return this.describe(key, version);
  }

  restoreCryptoKeyVersion(request: Message<'RestoreCryptoKeyVersionRequest'>): Fields {
    const { key, version } = this.store.version(request.name);
    if (version.state !== 'DESTROY_SCHEDULED') {
      throw new RpcFailure('FAILED_PRECONDITION', `${version.name} cannot be restored, current state is: ${version.state}.`);
    }
    // As in Google Cloud: the version comes back disabled.
    version.state = 'DISABLED';
    version.destroyAt = null;
    return this.describe(key, version);
  }

  private toEncrypt(name: string): { key: StoredKey; version: StoredVersion } {
    if (name.includes('/cryptoKeyVersions/')) return this.store.version(name);
    const key = this.store.key(name);
    return this.store.version(`${name}/cryptoKeyVersions/${key.primary}`);
  }

  private describe(key: StoredKey, version: StoredVersion): Fields {
    return {
      name: version.name,
      state: version.state,
      protectionLevel: 'SOFTWARE',
      algorithm: this.store.algorithmOf(key) as NonNullable<Fields['algorithm']>,
      createTime: timestamp(version.createdAt),
      ...(version.destroyAt !== null && { destroyTime: timestamp(version.destroyAt) }),
      ...(version.destroyedAt !== null && { destroyEventTime: timestamp(version.destroyedAt) }),
    } as Fields;
  }
}

/** Numbers on the wire. */
const STATE_NAMES: Readonly<Record<number, string>> = { 1: 'ENABLED', 2: 'DISABLED' };

const bytesOf = (value: Uint8Array | string): Buffer => (typeof value === 'string' ? Buffer.from(value, 'base64') : Buffer.from(value));

const timestamp = (date: Date) => ({ seconds: Math.floor(date.getTime() / 1000), nanos: (date.getTime() % 1000) * 1_000_000 });

const damaged = (fault: GoogleCloudFault | null, bytes: Buffer): Buffer =>
  fault?.kind === 'damaged-request' ? Buffer.from(bytes.map((byte) => byte ^ 1)) : bytes;

const sumFor = (fault: GoogleCloudFault | null, bytes: Buffer): number =>
  (crc32c(bytes) ^ (fault?.kind === 'damaged-answer' ? 1 : 0)) >>> 0;

/** Whether a checksum came with the bytes; one that does not fit is refused. */
function verified(field: string, bytes: Buffer, sum: protos.google.protobuf.IInt64Value | null | undefined): boolean {
  if (sum === null || sum === undefined) return false;
  if (Number(String(sum.value)) !== crc32c(bytes)) {
    throw new RpcFailure('INVALID_ARGUMENT', `The checksum in field ${field}_crc32c did not match the data in field ${field}.`);
  }
  return true;
}
