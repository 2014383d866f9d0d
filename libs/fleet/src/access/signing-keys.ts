import { randomBytes } from 'node:crypto';
import { signingKeyCreated } from '@atrest/contracts';
import { ACCESS_TOKEN_ALGORITHM, type AccessStore, type SealingKeys } from '@atrest/platform-auth';
import type { EventPublisher } from '@atrest/platform-messaging';
import type { Logger } from '@atrest/platform-logging';
import { rows, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import { exportJWK, generateKeyPair, importJWK, type CryptoKey, type JWK } from 'jose';
import { nextKey, signingOrder } from './signing-key-policy.js';

interface SigningKeyRow {
  kid: string;
  sealed_private: string;
  signs_until: Date;
}

/** Stands for "a signing key is being created" among advisory locks of this schema's transactions. */
const CREATION_LOCK = 'atrest/fleet/signing-key';

/** The key to sign with at this moment. */
export interface CurrentSigningKey {
  readonly kid: string;
  readonly privateKey: CryptoKey;
}

export interface SigningKeysDependencies {
  readonly database: ServiceDatabase;
  readonly access: AccessStore;
  readonly publisher: EventPublisher;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly sealingKeys: SealingKeys;
}

/** The key pairs that sign access tokens: created when needed and ahead of need, private halves sealed, shared by all replicas. */
export class SigningKeys {
  /** Keys whose trouble is in the log already. */
  private readonly reported = new Set<string>();

  constructor(private readonly parts: SigningKeysDependencies) {}

  /** The key that signs now; the very first one is created on demand. */
  async current(): Promise<CurrentSigningKey> {
    const found = (await this.openFirst()) ?? (await this.createUnlessUsable());
    if (found === undefined) throw new Error('no signing key could be opened although one was just created');
    return found;
  }

  /** Creates the next key when its time has come, seals anew what an older sealing key still holds, and forgets private halves that sign no more. */
  async maintain(): Promise<void> {
    const { database, clock } = this.parts;
    await database.transaction(async (tx) => {
      await rows(tx, 'SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [CREATION_LOCK]);
      const now = clock.now();
      await rows(tx, 'DELETE FROM signing_key WHERE signs_until <= $1', [now]);
      const keys = await rows<SigningKeyRow>(tx, 'SELECT * FROM signing_key');
      // A key that cannot be opened here signs nothing here: it does not count.
      const usable = keys.filter((key) => this.open(key) !== undefined);
      await this.createIfNeeded(tx, usable, now);
      for (const key of usable.filter((candidate) => !this.parts.sealingKeys.isCurrent(candidate.sealed_private))) {
        const opened = this.open(key);
        if (opened === undefined) continue;
        await rows(tx, 'UPDATE signing_key SET sealed_private = $2 WHERE kid = $1', [key.kid, this.seal(key.kid, opened)]);
      }
    });
  }

  private async openFirst(): Promise<CurrentSigningKey | undefined> {
    const now = this.parts.clock.now();
    const keys = await this.parts.database.query<SigningKeyRow>('SELECT * FROM signing_key WHERE signs_until > $1', [now]);
    const ordered = signingOrder(
      keys.map((row) => ({ signsUntil: row.signs_until, row })),
      now,
    );
    for (const { row } of ordered) {
      const privateJwk = this.open(row);
      if (privateJwk !== undefined) return { kid: row.kid, privateKey: await privateKeyOf(privateJwk) };
    }
    return undefined;
  }

  private async createUnlessUsable(): Promise<CurrentSigningKey | undefined> {
    await this.maintain();
    return this.openFirst();
  }

  private async createIfNeeded(tx: Transaction, keys: readonly SigningKeyRow[], now: Date): Promise<void> {
    const times = nextKey(
      keys.map((key) => ({ signsUntil: key.signs_until })),
      now,
    );
    if (times === undefined) return;
    const kid = randomBytes(12).toString('hex');
    const pair = await generateKeyPair(ACCESS_TOKEN_ALGORITHM, { extractable: true });
    const privateJwk = await exportJWK(pair.privateKey);
    const state = {
      kid,
      publicJwk: publicHalf(privateJwk),
      signsUntil: times.signsUntil.toISOString(),
      acceptedUntil: times.acceptedUntil.toISOString(),
    };
    await rows(tx, 'INSERT INTO signing_key (kid, sealed_private, signs_until, created_at) VALUES ($1, $2, $3, $4)', [
      kid,
      this.seal(kid, privateJwk),
      times.signsUntil,
      now,
    ]);
    await this.parts.access.applySigningKey(tx, state);
    await this.parts.publisher.publish(tx, signingKeyCreated, state);
    this.parts.logger.info({ kid, signsUntil: state.signsUntil }, 'created a key that signs access tokens');
  }

  private seal(kid: string, privateJwk: JWK): string {
    return this.parts.sealingKeys.seal(JSON.stringify(privateJwk), sealContext(kid));
  }

  private open(row: SigningKeyRow): JWK | undefined {
    try {
      return JSON.parse(this.parts.sealingKeys.openText(row.sealed_private, sealContext(row.kid))) as JWK;
    } catch (error) {
      // Its sealing key was taken out of the configuration. The service goes on with a new key; tokens signed by this one stay valid.
      if (!this.reported.has(row.kid)) {
        this.reported.add(row.kid);
        this.parts.logger.error(
          { err: error, kid: row.kid },
          'a signing key cannot be opened with the configured sealing keys, it is not used',
        );
      }
      return undefined;
    }
  }
}

const sealContext = (kid: string): string => `signing-key/${kid}`;

/** The members of an EC public key and nothing else, by name: a private member can never slip through. */
function publicHalf({ kty, crv, x, y }: JWK): Record<string, string> {
  if (kty !== 'EC' || crv === undefined || x === undefined || y === undefined)
    throw new Error('the generated signing key is not an EC key');
  return { kty, crv, x, y };
}

async function privateKeyOf(jwk: JWK): Promise<CryptoKey> {
  return (await importJWK(jwk, ACCESS_TOKEN_ALGORITHM)) as CryptoKey;
}
