import { randomUUID } from 'node:crypto';
import { accessTokenRevoked, ClientIdSchema } from '@atrest/contracts';
import {
  ACCESS_TOKEN_ALGORITHM,
  ACCESS_TOKEN_AUDIENCE,
  ACCESS_TOKEN_SECONDS,
  ACCESS_TOKEN_TYPE,
  type AccessStore,
  type TokenVerifier,
} from '@atrest/platform-auth';
import type { Logger } from '@atrest/platform-logging';
import type { EventPublisher } from '@atrest/platform-messaging';
import type { ServiceDatabase } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import { SignJWT } from 'jose';
import type { AttemptLimiter } from './attempt-limiter.js';
import { matchSecret } from './service-account-secret.js';
import type { ServiceAccountStore } from './service-account-store.js';
import type { SigningKeys } from './signing-keys.js';
import { INVALID_CLIENT, type ClientCredentials, type OAuthRefusal } from './token-request.js';

export type LogIn = { readonly ok: true; readonly clientId: string } | { readonly ok: false; readonly refusal: OAuthRefusal };
export type TokenAnswer =
  | { readonly ok: true; readonly accessToken: string; readonly expiresInSeconds: number }
  | { readonly ok: false; readonly refusal: OAuthRefusal };

export interface AccessTokensDependencies {
  readonly database: ServiceDatabase;
  readonly accounts: ServiceAccountStore;
  readonly access: AccessStore;
  readonly signingKeys: SigningKeys;
  readonly verifier: TokenVerifier;
  readonly limiter: AttemptLimiter;
  readonly publisher: EventPublisher;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly issuer: string;
}

/** Issues and revokes access tokens for service accounts that prove their secret. */
export class AccessTokens {
  constructor(private readonly parts: AccessTokensDependencies) {}

  /** @param address where the request came from: the limit on failures is per client id and address, so nobody can lock an account out from afar */
  async issue(credentials: ClientCredentials, address: string): Promise<TokenAnswer> {
    const logIn = await this.logIn(credentials, address);
    if (!logIn.ok) return logIn;
    const key = await this.parts.signingKeys.current();
    const issuedAt = Math.floor(this.parts.clock.now().getTime() / 1000);
    const accessToken = await new SignJWT({})
      .setProtectedHeader({ alg: ACCESS_TOKEN_ALGORITHM, kid: key.kid, typ: ACCESS_TOKEN_TYPE })
      .setIssuer(this.parts.issuer)
      .setAudience(ACCESS_TOKEN_AUDIENCE)
      .setSubject(logIn.clientId)
      .setJti(randomUUID())
      .setIssuedAt(issuedAt)
      .setExpirationTime(issuedAt + ACCESS_TOKEN_SECONDS)
      .sign(key.privateKey);
    return { ok: true, accessToken, expiresInSeconds: ACCESS_TOKEN_SECONDS };
  }

  /**
   * Revokes a token of the account that asks. A token that is unknown, expired, or somebody else's changes nothing and is answered the same
   * (RFC 7009 §2.2): whoever asks must not learn which tokens exist.
   */
  async revoke(credentials: ClientCredentials, token: string, address: string): Promise<LogIn> {
    const logIn = await this.logIn(credentials, address);
    if (!logIn.ok) return logIn;
    const verdict = await this.parts.verifier.verifySignature(token);
    if (!verdict.ok || verdict.clientId !== logIn.clientId) return logIn;
    const revocation = { tokenId: verdict.tokenId, expiresAt: verdict.expiresAt.toISOString() };
    await this.parts.database.transaction(async (tx) => {
      if ((await this.parts.access.applyRevocation(tx, revocation)) === 'applied') {
        await this.parts.publisher.publish(tx, accessTokenRevoked, revocation);
      }
    });
    return logIn;
  }

  private async logIn({ clientId, secret }: ClientCredentials, address: string): Promise<LogIn> {
    const name = JSON.stringify([clientId, address]);
    const attempt = this.parts.limiter.begin(name);
    if (!attempt.allowed) {
      return { ok: false, refusal: tooMany(attempt.retryAfterSeconds) };
    }
    const now = this.parts.clock.now();
    const wellFormed = ClientIdSchema.safeParse(clientId).success;
    const match = matchSecret(secret, wellFormed ? await this.parts.accounts.secretsOf([clientId]) : [], now);
    if (match === undefined) {
      // A malformed id stays out of the log: it may well be a secret pasted into the wrong field.
      this.parts.logger.warn({ clientId: wellFormed ? clientId : undefined, address }, 'a log-in of a service account failed');
      return { ok: false, refusal: INVALID_CLIENT };
    }
    this.parts.limiter.succeeded(name);
    await this.parts.accounts.secretUsed(match.id, now);
    return { ok: true, clientId };
  }
}

function tooMany(retryAfterSeconds: number): OAuthRefusal {
  return {
    status: 429,
    error: 'temporarily_unavailable',
    description: `Too many failed attempts. Retry after ${retryAfterSeconds} seconds.`,
    retryAfterSeconds,
  };
}
