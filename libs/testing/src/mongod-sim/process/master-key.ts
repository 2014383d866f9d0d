import { readFileSync, statSync } from 'node:fs';
import { KEY_BYTES } from '../storage/cipher.js';

/** The master key cannot be had: exit code 100, with this text in log 29038. */
export class MasterKeyError extends Error {
  readonly code = 'MASTER_KEY';
}

/** The key of a key file. Throws {@link MasterKeyError}. */
export function keyFromFile(file: string): Buffer {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat === undefined) throw new MasterKeyError(`cannot read stats of encryption key file: ${file}: No such file or directory`);
  if ((stat.mode & 0o077) !== 0) throw new MasterKeyError(`permissions on ${file} are too open`);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    throw new MasterKeyError(`cannot open specified encryption key file: ${file}`);
  }
  return decodeKey(text.trim());
}

/** Exactly 32 bytes in base64: a key of another length or in another form is never padded, cut or guessed. Throws {@link MasterKeyError}. */
export function decodeKey(text: string): Buffer {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) throw new MasterKeyError('not a valid base64 string');
  const key = Buffer.from(text, 'base64');
  if (key.length !== KEY_BYTES) throw new MasterKeyError(`encryption key length should be ${KEY_BYTES} bytes`);
  return key;
}
