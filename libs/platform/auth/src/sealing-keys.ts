import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

/** AES-256: exactly this many bytes of key. */
const KEY_BYTES = 32;
/** GCM's own nonce size. Random nonces are safe for 2^32 seals under one key, far above what a service ever seals. */
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** First part of every sealed text: names format and mechanism, so that a later format can live beside it. */
const FORMAT = 'v1';

/** Thrown when the configured sealing keys cannot be used. Names the position and the rule, never a value. */
export class SealingKeysError extends Error {
  readonly code = 'SEALING_KEYS_INVALID';
  override readonly name = 'SealingKeysError';
  constructor(readonly rule: string) {
    super(`sealing keys: ${rule}`);
  }
}

/** Thrown when a sealed text names a key that is not configured (any more). */
export class SealingKeyUnknownError extends Error {
  readonly code = 'SEALING_KEY_UNKNOWN';
  override readonly name = 'SealingKeyUnknownError';
  constructor(readonly keyId: string) {
    super(`sealed with key '${keyId}', which is not among the configured sealing keys`);
  }
}

/** Thrown when a sealed text is damaged, was sealed by another key of the same name, or for another context. */
export class SealBrokenError extends Error {
  readonly code = 'SEAL_BROKEN';
  override readonly name = 'SealBrokenError';
  constructor(readonly rule: string) {
    super(`sealed text refused: ${rule}`);
  }
}

interface SealedParts {
  readonly keyId: string;
  readonly nonce: Buffer;
  readonly ciphertext: Buffer;
  readonly tag: Buffer;
}

/**
 * The keys under which a service seals what its database must not hold in clear: KMS credentials, private signing keys.
 *
 * AES-256-GCM. A sealed text names its key, so keys can be replaced: put the new one first, leave the old one behind it until nothing
 * is sealed with it (`isCurrent`), then drop it. The context (say `signing-key/<kid>`) is authenticated, not stored: a sealed text
 * that is copied to another row does not open there.
 */
export class SealingKeys {
  readonly #keys: ReadonlyMap<string, Buffer>;
  readonly #currentId: string;

  private constructor(keys: Map<string, Buffer>, currentId: string) {
    this.#keys = keys;
    this.#currentId = currentId;
  }

  /**
   * Reads `<id>:<base64 of 32 bytes>[,<id>:<base64>…]`; the first key is the current one. Blanks around the commas are allowed.
   * @throws SealingKeysError
   */
  static parse(text: string): SealingKeys {
    const entries = text.split(',').map((entry) => entry.trim());
    const keys = new Map<string, Buffer>();
    let currentId: string | undefined;
    entries.forEach((entry, index) => {
      const { id, key } = parseEntry(entry, index + 1);
      if (keys.has(id)) throw new SealingKeysError(`the key id '${id}' is given twice`);
      keys.set(id, key);
      currentId ??= id;
    });
    if (currentId === undefined) throw new SealingKeysError('at least one key is needed');
    return new SealingKeys(keys, currentId);
  }

  /** A new random key in the text form that `parse` reads. */
  static generate(id = 'k1'): string {
    return `${id}:${randomBytes(KEY_BYTES).toString('base64')}`;
  }

  /** The id of the key that seals now. */
  get currentKeyId(): string {
    return this.#currentId;
  }

  /** Every key id that can be opened, current first. */
  get keyIds(): string[] {
    return [...this.#keys.keys()];
  }

  /** Seals with the current key. The result is printable: `v1.<key id>.<nonce>.<ciphertext and tag>`, base64url. */
  seal(plain: Uint8Array | string, context: string): string {
    const keyId = this.#currentId;
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.#key(keyId), nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(additionalData(keyId, context));
    const sealed = Buffer.concat([cipher.update(plain as Uint8Array), cipher.final(), cipher.getAuthTag()]);
    return [FORMAT, keyId, nonce.toString('base64url'), sealed.toString('base64url')].join('.');
  }

  /**
   * Opens what `seal` made under the same context, with whichever configured key the text names.
   * @throws SealingKeyUnknownError, SealBrokenError
   */
  open(sealed: string, context: string): Buffer {
    const { keyId, nonce, ciphertext, tag } = parseSealed(sealed);
    const decipher = createDecipheriv('aes-256-gcm', this.#key(keyId), nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(additionalData(keyId, context));
    decipher.setAuthTag(tag);
    try {
      return Buffer.concat([decipher.update(ciphertext), decipher.final()]);
    } catch (cause) {
      throw Object.assign(new SealBrokenError('its authentication does not hold (damaged, another key, or another context)'), { cause });
    }
  }

  /** Same as `open`, for text. */
  openText(sealed: string, context: string): string {
    return this.open(sealed, context).toString('utf8');
  }

  /** Whether the text was sealed with the current key. False: open it and seal it again, then the old key can be dropped. */
  isCurrent(sealed: string): boolean {
    return parseSealed(sealed).keyId === this.#currentId;
  }

  #key(id: string): Buffer {
    const key = this.#keys.get(id);
    if (key === undefined) throw new SealingKeyUnknownError(id);
    return key;
  }
}

/** Length-prefixed, so that no pair of key id and context can stand for another pair. */
function additionalData(keyId: string, context: string): Buffer {
  return Buffer.from(`atrest-seal/${FORMAT}/${keyId.length}:${keyId}/${context}`, 'utf8');
}

function parseEntry(entry: string, position: number): { id: string; key: Buffer } {
  const where = `entry ${position}`;
  const colon = entry.indexOf(':');
  if (colon < 0) throw new SealingKeysError(`${where} must look like <id>:<base64 of ${KEY_BYTES} bytes>`);
  const id = entry.slice(0, colon);
  if (!/^[A-Za-z0-9_-]{1,32}$/.test(id)) throw new SealingKeysError(`${where}: the id must be 1 to 32 letters, digits, '_' or '-'`);
  const encoded = entry.slice(colon + 1).trim();
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(encoded)) throw new SealingKeysError(`${where} ('${id}'): the key is not base64`);
  const key = Buffer.from(encoded, 'base64');
  if (key.length !== KEY_BYTES) {
    throw new SealingKeysError(`${where} ('${id}'): the key must be exactly ${KEY_BYTES} bytes, this one has ${key.length}`);
  }
  return { id, key };
}

function parseSealed(sealed: string): SealedParts {
  const [format, keyId, nonceText, bodyText, ...rest] = sealed.split('.');
  if (format !== FORMAT || keyId === undefined || nonceText === undefined || bodyText === undefined || rest.length > 0) {
    throw new SealBrokenError(`it does not have the form ${FORMAT}.<key id>.<nonce>.<ciphertext>`);
  }
  const nonce = Buffer.from(nonceText, 'base64url');
  const body = Buffer.from(bodyText, 'base64url');
  if (nonce.length !== NONCE_BYTES || body.length < TAG_BYTES) throw new SealBrokenError('it is truncated');
  const cut = body.length - TAG_BYTES;
  return { keyId, nonce, ciphertext: body.subarray(0, cut), tag: body.subarray(cut) };
}
