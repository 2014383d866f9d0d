import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';

/** How data files are encrypted, as `--encryptionCipherMode` names it. */
export const CIPHER_MODES = ['AES256-CBC', 'AES256-GCM'] as const;
export type CipherMode = (typeof CIPHER_MODES)[number];

/** Bytes of the master key and of every database key. */
export const KEY_BYTES = 32;
const CRC_BYTES = 4;
const CBC_IV_BYTES = 16;
const GCM_IV_BYTES = 12;
const GCM_TAG_BYTES = 16;

/** What was read is not what was written with this key and mode. */
export class CipherError extends Error {
  readonly code = 'CIPHER';
}

/** Encrypts and decrypts pages. */
export interface PageCipher {
  readonly mode: CipherMode;
  seal(plain: Uint8Array): Buffer;
  /** Throws {@link CipherError}. */
  open(sealed: Uint8Array): Buffer;
}

/**
 * Pages as Percona Server lays them out: with CBC the CRC-32 of the plaintext, a random IV and the padded ciphertext; with GCM a 12-byte IV
 * (random here, a counter there), the ciphertext and its tag.
 */
export function pageCipher(mode: CipherMode, key: Uint8Array): PageCipher {
  return mode === 'AES256-CBC' ? { mode, ...cbc(key) } : { mode, ...gcm(key) };
}

function cbc(key: Uint8Array): Omit<PageCipher, 'mode'> {
  return {
    seal(plain) {
      const iv = randomBytes(CBC_IV_BYTES);
      const cipher = createCipheriv('aes-256-cbc', key, iv);
      const crc = Buffer.alloc(CRC_BYTES);
      crc.writeUInt32LE(crc32(plain));
      return Buffer.concat([crc, iv, cipher.update(plain), cipher.final()]);
    },
    open(sealed) {
      const bytes = Buffer.from(sealed);
      const plain = decrypt(() => {
        const decipher = createDecipheriv('aes-256-cbc', key, bytes.subarray(CRC_BYTES, CRC_BYTES + CBC_IV_BYTES));
        return Buffer.concat([decipher.update(bytes.subarray(CRC_BYTES + CBC_IV_BYTES)), decipher.final()]);
      });
      // About one wrong key in 256 leaves padding that looks right.
      if (crc32(plain) !== bytes.readUInt32LE(0)) throw new CipherError('the checksum of a decrypted page is wrong');
      return plain;
    },
  };
}

function gcm(key: Uint8Array): Omit<PageCipher, 'mode'> {
  return {
    seal(plain) {
      const iv = randomBytes(GCM_IV_BYTES);
      const cipher = createCipheriv('aes-256-gcm', key, iv);
      return Buffer.concat([iv, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
    },
    open(sealed) {
      const bytes = Buffer.from(sealed);
      return decrypt(() => {
        const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, GCM_IV_BYTES));
        decipher.setAuthTag(bytes.subarray(-GCM_TAG_BYTES));
        return Buffer.concat([decipher.update(bytes.subarray(GCM_IV_BYTES, -GCM_TAG_BYTES)), decipher.final()]);
      });
    },
  };
}

function decrypt(work: () => Buffer): Buffer {
  try {
    return work();
  } catch (error) {
    throw new CipherError(`a page cannot be decrypted: ${error instanceof Error ? error.message : 'unknown'}`);
  }
}
