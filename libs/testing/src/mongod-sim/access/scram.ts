import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from 'node:crypto';
import { CommandError } from '../commands/command-error.js';
import { type Doc, isDocument, numberOf, stringOf } from '../bson-values.js';

/** Mechanisms a user has credentials for unless `createUser` names others. */
export const MECHANISMS = ['SCRAM-SHA-1', 'SCRAM-SHA-256'] as const;
export type Mechanism = (typeof MECHANISMS)[number];

const PARAMETERS: Record<Mechanism, { hash: 'sha1' | 'sha256'; iterations: number; keyBytes: number; saltBytes: number }> = {
  'SCRAM-SHA-1': { hash: 'sha1', iterations: 10_000, keyBytes: 20, saltBytes: 16 },
  'SCRAM-SHA-256': { hash: 'sha256', iterations: 15_000, keyBytes: 32, saltBytes: 28 },
};

/** What is stored of a password for one mechanism, as in `admin.system.users`. */
export function credentialsFor(mechanism: Mechanism, user: string, password: string): Doc {
  const { hash, iterations, keyBytes, saltBytes } = PARAMETERS[mechanism];
  const salt = randomBytes(saltBytes);
  // SCRAM-SHA-1 keeps the digest that MONGODB-CR had; passwords are taken as they are, without SASLprep.
  const secret = mechanism === 'SCRAM-SHA-1' ? createHash('md5').update(`${user}:mongo:${password}`).digest('hex') : password;
  const salted = pbkdf2Sync(secret, salt, iterations, keyBytes, hash);
  const clientKey = createHmac(hash, salted).update('Client Key').digest();
  return {
    iterationCount: iterations,
    salt: salt.toString('base64'),
    storedKey: createHash(hash).update(clientKey).digest('base64'),
    serverKey: createHmac(hash, salted).update('Server Key').digest('base64'),
  };
}

/** The answer to every failure: why is not told. */
export function authenticationFailed(): CommandError {
  return new CommandError(18, 'Authentication failed.');
}

/** The server's side of one login. Both steps throw AuthenticationFailed (18). */
export class ScramConversation {
  readonly #hash: 'sha1' | 'sha256';
  readonly #credentials: Doc;
  readonly #firstBare: string;
  readonly #serverFirst: string;
  readonly #nonce: string;

  /** `credentials` belong to the user of {@link userOf}. */
  constructor(mechanism: Mechanism, clientFirst: string, credentials: Doc) {
    const { bare, fields } = parseFirst(clientFirst);
    this.#hash = PARAMETERS[mechanism].hash;
    this.#credentials = credentials;
    this.#firstBare = bare;
    this.#nonce = `${fields.get('r') ?? ''}${randomBytes(24).toString('base64')}`;
    this.#serverFirst = `r=${this.#nonce},s=${String(credentials['salt'])},i=${numberOf(credentials['iterationCount']) ?? 0}`;
  }

  get serverFirst(): string {
    return this.#serverFirst;
  }

  /** Checks the proof and answers with the server's own. */
  finish(clientFinal: string): string {
    const fields = fieldsOf(clientFinal);
    const proof = Buffer.from(fields.get('p') ?? '', 'base64');
    const storedKey = Buffer.from(stringOf(this.#credentials['storedKey']) ?? '', 'base64');
    if (fields.get('r') !== this.#nonce || proof.length !== storedKey.length) throw authenticationFailed();
    const withoutProof = clientFinal.slice(0, clientFinal.lastIndexOf(',p='));
    const message = `${this.#firstBare},${this.#serverFirst},${withoutProof}`;
    const signature = createHmac(this.#hash, storedKey).update(message).digest();
    const clientKey = proof.map((byte, index) => byte ^ (signature[index] ?? 0));
    if (!timingSafeEqual(createHash(this.#hash).update(clientKey).digest(), storedKey)) throw authenticationFailed();
    const serverKey = Buffer.from(stringOf(this.#credentials['serverKey']) ?? '', 'base64');
    return `v=${createHmac(this.#hash, serverKey).update(message).digest('base64')}`;
  }
}

/** The user a client wants to log in as. */
export function userOf(clientFirst: string): string {
  return (parseFirst(clientFirst).fields.get('n') ?? '').replaceAll('=2C', ',').replaceAll('=3D', '=');
}

/** The credentials of a stored user for a mechanism. */
export function storedCredentials(user: Doc | undefined, mechanism: Mechanism): Doc | undefined {
  const credentials = user?.['credentials'];
  const found = isDocument(credentials) ? credentials[mechanism] : undefined;
  return isDocument(found) ? found : undefined;
}

function parseFirst(text: string): { bare: string; fields: Map<string, string> } {
  const match = /^[ny],[^,]*,(.*)$/s.exec(text);
  if (match === null) throw authenticationFailed();
  const bare = match[1] as string;
  return { bare, fields: fieldsOf(bare) };
}

function fieldsOf(text: string): Map<string, string> {
  return new Map(text.split(',').map((part) => [part.slice(0, 1), part.slice(2)]));
}
