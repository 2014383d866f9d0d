import { SealingPublicKeySchema, type SealingPublicKey } from '@atrest/contracts';
import { compactDecrypt, exportJWK, generateKeyPair, importJWK } from 'jose';
import { z } from 'zod';
import { readIfExists, writeDurably } from './durable-file.js';

const AGREEMENT = 'ECDH-ES';
const CIPHER = 'A256GCM';

const PrivateKeySchema = SealingPublicKeySchema.extend({ d: z.string().regex(/^[\w-]{43}$/) });
type PrivateKey = z.infer<typeof PrivateKeySchema>;

/** Thrown when a secret cannot be opened: sealed for another key (the host had another state folder then), or damaged. Names no content. */
export class SealedForOthersError extends Error {
  readonly code = 'AGENT.SEALED_FOR_OTHERS';

  constructor(options?: ErrorOptions) {
    super('A secret that was sent to this host is sealed for another key or damaged, and cannot be opened here.', options);
    this.name = 'SealedForOthersError';
  }
}

/** The key pair of this host that secrets on their way to it are sealed for. The private half never leaves the state folder. */
export class SealingKey {
  readonly #key: PrivateKey;

  private constructor(key: PrivateKey) {
    this.#key = key;
  }

  /** The key of a file, made when there is none. An unreadable one is an error: a new one would make everything unreadable that is on its way. */
  static async at(path: string): Promise<SealingKey> {
    const known = await readIfExists(path);
    if (known !== null) return new SealingKey(PrivateKeySchema.parse(JSON.parse(known)));
    const pair = await generateKeyPair(AGREEMENT, { crv: 'X25519', extractable: true });
    const key = PrivateKeySchema.parse(await exportJWK(pair.privateKey));
    await writeDurably(path, JSON.stringify(key), 0o600);
    return new SealingKey(key);
  }

  /** What is told to everybody. */
  get publicJwk(): SealingPublicKey {
    const { kty, crv, x } = this.#key;
    return { kty, crv, x };
  }

  /**
   * The text in a compact JWE.
   * @throws {SealedForOthersError}
   */
  async open(sealed: string): Promise<string> {
    try {
      const key = await importJWK(this.#key, AGREEMENT);
      const { plaintext } = await compactDecrypt(sealed, key, {
        keyManagementAlgorithms: [AGREEMENT],
        contentEncryptionAlgorithms: [CIPHER],
      });
      return new TextDecoder().decode(plaintext);
    } catch (cause) {
      throw new SealedForOthersError({ cause });
    }
  }
}
