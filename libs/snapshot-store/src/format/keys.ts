import { hkdfSync } from 'node:crypto';

/** Bytes of a data key, and of every key derived from it (AES-256, HMAC-SHA-256). */
export const KEY_BYTES = 32;

/** An epoch's id: 24 hexadecimal digits. */
export const EPOCH_ID = /^[0-9a-f]{24}$/;

/** The keys of one epoch, all derived from its data key: one purpose, one key. */
export interface EpochKeys {
  readonly epochId: string;
  /** HMAC-SHA-256 key that names blocks. */
  readonly name: Buffer;
  /** AES-256-GCM key of block contents. */
  readonly block: Buffer;
  /** AES-256-GCM key of manifests. */
  readonly manifest: Buffer;
  /** HMAC-SHA-256 key that authenticates the epoch's own header. */
  readonly header: Buffer;
}

/** HKDF-SHA-256 (RFC 5869) with the epoch's id as salt, so that a data key used twice by mistake still gives other keys. */
export function deriveEpochKeys(epochId: string, dataKey: Uint8Array): EpochKeys {
  if (!EPOCH_ID.test(epochId)) throw new TypeError('an epoch id has 24 hexadecimal digits');
  if (dataKey.length !== KEY_BYTES) throw new TypeError(`a data key has ${KEY_BYTES} bytes`);
  const derive = (purpose: string): Buffer =>
    Buffer.from(hkdfSync('sha256', dataKey, Buffer.from(epochId, 'hex'), `atrest snapshot v1 ${purpose}`, KEY_BYTES));
  return {
    epochId,
    name: derive('block name'),
    block: derive('block content'),
    manifest: derive('manifest'),
    header: derive('epoch header'),
  };
}

/** Overwrites the keys. What a worker thread or OpenSSL copied is beyond reach; it ends with its owner. */
export function eraseEpochKeys(keys: EpochKeys): void {
  for (const key of [keys.name, keys.block, keys.manifest, keys.header]) key.fill(0);
}
