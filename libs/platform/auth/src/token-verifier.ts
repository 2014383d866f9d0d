import type { ServiceAccountState, SigningKeyState } from '@atrest/contracts';
import { awaitProjection } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import { errors, importJWK, jwtVerify, type CryptoKey, type JWTPayload } from 'jose';
import type { AccessStore } from './access-store.js';
import { ACCESS_TOKEN_ALGORITHM, ACCESS_TOKEN_AUDIENCE, ACCESS_TOKEN_TYPE } from './access-token.js';

/**
 * How long a token of an account or key that this service has not heard of yet is held before it is refused. Its event normally takes
 * milliseconds; two seconds cover a relay that just lost its connection, and stay far below any client's time-out.
 */
export const PROJECTION_WAIT_MS = 2000;

/**
 * Anyone can name a key that does not exist, and each such request would poll for two seconds. So only this many wait at a time; the rest is
 * refused at once, as if the wait were over. Requests whose signature holds are not counted: only `fleet` can make them.
 */
const MAX_WAITING_FOR_KEYS = 16;

/** Parsed keys kept in memory; there are two or three at a time, so this is a bound, not a tuning value. */
const MAX_PARSED_KEYS = 16;

/** Why a token was refused. For the log and metrics; the client is told the same for all of them. */
export type TokenRefusal =
  | 'malformed'
  | 'signature-wrong'
  | 'key-unknown'
  | 'key-retired'
  | 'expired'
  | 'issuer-wrong'
  | 'audience-wrong'
  | 'claims-wrong'
  | 'account-unknown'
  | 'account-deleted'
  | 'revoked';

export type TokenVerdict =
  | { readonly ok: true; readonly account: ServiceAccountState; readonly tokenId: string; readonly expiresAt: Date }
  | { readonly ok: false; readonly refusal: TokenRefusal };

/** What a signature proves, before anybody asked whether the account still exists. */
export type SignatureVerdict =
  | { readonly ok: true; readonly clientId: string; readonly tokenId: string; readonly expiresAt: Date }
  | { readonly ok: false; readonly refusal: TokenRefusal };

/** Decides whether an access token holds, by the public keys, accounts and revocations in the store. */
export class TokenVerifier {
  readonly #store: AccessStore;
  readonly #clock: Clock;
  readonly #issuer: string;
  readonly #waitMs: number;
  /** A key id never stands for two keys (`applySigningKey`), so what was parsed once stays right; whether the key is still accepted is asked each time. */
  readonly #parsed = new Map<string, Promise<CryptoKey>>();
  #waitingForKeys = 0;

  constructor(o: { store: AccessStore; clock: Clock; issuer: string; projectionWaitMs?: number }) {
    this.#store = o.store;
    this.#clock = o.clock;
    this.#issuer = o.issuer;
    this.#waitMs = o.projectionWaitMs ?? PROJECTION_WAIT_MS;
  }

  /** Signature, times, issuer and audience; then the account and revocations as they stand now. */
  async verify(token: string): Promise<TokenVerdict> {
    const signed = await this.verifySignature(token);
    if (!signed.ok) return signed;
    const { clientId, tokenId, expiresAt } = signed;
    let { account, revoked } = await this.#store.lookUp(clientId, tokenId);
    if (revoked) return refuse('revoked');
    if (account === undefined) {
      // Signed by fleet, so the account exists or existed: its event is on the way.
      const arrived = await this.#await(async () => {
        const found = await this.#store.lookUp(clientId, tokenId);
        return found.account && found;
      });
      if (arrived === undefined) return refuse('account-unknown');
      if (arrived.revoked) return refuse('revoked');
      account = arrived.account;
    }
    if (account === undefined) return refuse('account-unknown');
    if (account.deletedAt !== null) return refuse('account-deleted');
    return { ok: true, account, tokenId, expiresAt };
  }

  /** Signature, times, issuer and audience alone; says nothing about the account or a revocation. */
  async verifySignature(token: string): Promise<SignatureVerdict> {
    try {
      const { payload } = await jwtVerify(token, async (header) => this.#keyFor(header.kid), {
        algorithms: [ACCESS_TOKEN_ALGORITHM],
        typ: ACCESS_TOKEN_TYPE,
        issuer: this.#issuer,
        audience: ACCESS_TOKEN_AUDIENCE,
        requiredClaims: ['sub', 'jti', 'iat', 'exp'],
        currentDate: this.#clock.now(),
      });
      return claimsOf(payload);
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal === undefined) throw error;
      return refuse(refusal);
    }
  }

  async #keyFor(kid: string | undefined): Promise<CryptoKey> {
    // Text of a stranger goes to the database next; a key id of ours has this form.
    if (kid === undefined || !/^[\w-]{1,64}$/.test(kid)) throw new KeyRefused('key-unknown');
    const state = (await this.#store.findKey(kid)) ?? (await this.#awaitKey(kid));
    if (state === undefined) throw new KeyRefused('key-unknown');
    if (new Date(state.acceptedUntil) <= this.#clock.now()) throw new KeyRefused('key-retired');
    return this.#parse(state);
  }

  async #awaitKey(kid: string): Promise<SigningKeyState | undefined> {
    if (this.#waitingForKeys >= MAX_WAITING_FOR_KEYS) return undefined;
    this.#waitingForKeys += 1;
    try {
      return await this.#await(() => this.#store.findKey(kid));
    } finally {
      this.#waitingForKeys -= 1;
    }
  }

  async #await<T>(look: () => Promise<T | undefined>): Promise<T | undefined> {
    if (this.#waitMs === 0) return undefined;
    return (await awaitProjection(look, { timeoutMs: this.#waitMs })) ?? undefined;
  }

  #parse(state: SigningKeyState): Promise<CryptoKey> {
    const known = this.#parsed.get(state.kid);
    if (known !== undefined) return known;
    if (this.#parsed.size >= MAX_PARSED_KEYS) this.#parsed.clear();
    const parsed = importJWK(state.publicJwk, ACCESS_TOKEN_ALGORITHM) as Promise<CryptoKey>;
    this.#parsed.set(state.kid, parsed);
    return parsed;
  }
}

/** Carries a refusal out of jose's key callback. Never leaves this file. */
class KeyRefused extends Error {
  constructor(readonly refusal: TokenRefusal) {
    super(refusal);
  }
}

function refuse(refusal: TokenRefusal): { ok: false; refusal: TokenRefusal } {
  return { ok: false, refusal };
}

function claimsOf(payload: JWTPayload): SignatureVerdict {
  const { sub, jti, exp } = payload;
  if (typeof sub !== 'string' || typeof jti !== 'string' || typeof exp !== 'number') return refuse('claims-wrong');
  return { ok: true, clientId: sub, tokenId: jti, expiresAt: new Date(exp * 1000) };
}

/** `undefined`: not about the token (the database is down, say), so the request must fail differently. */
function refusalOf(error: unknown): TokenRefusal | undefined {
  if (error instanceof KeyRefused) return error.refusal;
  if (error instanceof errors.JWTExpired) return 'expired';
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'signature-wrong';
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === 'iss') return 'issuer-wrong';
    if (error.claim === 'aud') return 'audience-wrong';
    return 'claims-wrong';
  }
  if (error instanceof errors.JOSEError) return 'malformed';
  return undefined;
}
