import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

/*
 * A ciphertext blob of the development KMS:
 *   1 byte   format, 0xD1 (a blob of real AWS begins with 0x01, so neither is mistaken for the other)
 *   16 bytes key id (UUID)
 *   12 bytes nonce
 *   n bytes  AES-256-GCM ciphertext
 *   16 bytes tag; authenticated data: everything before the nonce and the encryption context
 */
const FORMAT = 0xd1;
const NONCE_AT = 17;
const BODY_AT = NONCE_AT + 12;
const TAG_LENGTH = 16;

export type EncryptionContext = Readonly<Record<string, string>>;

/** The key id inside a blob; null when it is not a blob of ours. */
export function keyIdOf(blob: Buffer): string | null {
  if (blob.length < BODY_AT + TAG_LENGTH || blob[0] !== FORMAT) return null;
  const hex = blob.toString('hex', 1, NONCE_AT);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

export function seal(keyId: string, material: Buffer, plaintext: Buffer, context: EncryptionContext): Buffer {
  const head = Buffer.concat([Buffer.from([FORMAT]), Buffer.from(keyId.replaceAll('-', ''), 'hex')]);
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', material, nonce);
  cipher.setAAD(Buffer.concat([head, contextBytes(context)]));
  const body = Buffer.concat([cipher.update(plaintext), cipher.final()]);
  return Buffer.concat([head, nonce, body, cipher.getAuthTag()]);
}

/** Null when key, context or bytes are not the ones it was sealed with. */
export function open(material: Buffer, blob: Buffer, context: EncryptionContext): Buffer | null {
  const decipher = createDecipheriv('aes-256-gcm', material, blob.subarray(NONCE_AT, BODY_AT), { authTagLength: TAG_LENGTH });
  decipher.setAAD(Buffer.concat([blob.subarray(0, NONCE_AT), contextBytes(context)]));
  decipher.setAuthTag(blob.subarray(blob.length - TAG_LENGTH));
  const plaintext = decipher.update(blob.subarray(BODY_AT, blob.length - TAG_LENGTH));
  try {
    return Buffer.concat([plaintext, decipher.final()]);
  } catch {
    return null;
  }
}

const contextBytes = (context: EncryptionContext): Buffer =>
  Buffer.from(JSON.stringify(Object.entries(context).sort(([a], [b]) => (a < b ? -1 : 1))), 'utf8');
