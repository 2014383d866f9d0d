import type { Secret } from '@atrest/platform-config';
import { z } from 'zod';

/** What kafkajs asks for when it opens a connection or logs in again. */
export type TokenSource = () => Promise<{ readonly value: string }>;

/** Thrown when no token for Kafka can be had. Carries no secret. */
export class KafkaTokenError extends Error {
  override readonly name = 'KafkaTokenError';
  readonly code = 'KAFKA.TOKEN_REFUSED';
}

const TokenAnswer = z.object({ access_token: z.string().min(1), expires_in: z.number().positive().optional() });

/** A token is renewed this long before it ends, so that the broker never sees one that ends on the way. */
const RENEW_BEFORE_MS = 30_000;
/** RFC 6749 only recommends to say how long a token lives; without that it is used for a minute. */
const UNKNOWN_LIFETIME_S = 60;
const REQUEST_LIMIT_MS = 10_000;

/** Tokens by the client credentials grant (RFC 6749 §4.4), used again until shortly before they end. */
export function oauthTokens(o: {
  readonly tokenUrl: string;
  readonly clientId: string;
  readonly clientSecret: Secret;
  readonly scope: string | undefined;
  readonly now?: () => number;
}): TokenSource {
  const now = o.now ?? Date.now;
  return reused(now, async () => {
    // RFC 6749 §2.3.1: both halves are form-encoded before they are joined.
    const credentials = [o.clientId, o.clientSecret.reveal()].map((half) => new URLSearchParams({ x: half }).toString().slice(2)).join(':');
    const response = await fetch(o.tokenUrl, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(credentials).toString('base64')}`, accept: 'application/json' },
      body: new URLSearchParams({ grant_type: 'client_credentials', ...(o.scope !== undefined && { scope: o.scope }) }),
      signal: AbortSignal.timeout(REQUEST_LIMIT_MS),
      redirect: 'error',
    });
    if (!response.ok) throw new KafkaTokenError(`the authorisation server answered ${response.status}`);
    const answer = TokenAnswer.safeParse(await response.json());
    if (!answer.success) throw new KafkaTokenError('the authorisation server answered without an access token');
    const { access_token: value, expires_in: lifetime = UNKNOWN_LIFETIME_S } = answer.data;
    return { value, endsAt: now() + lifetime * 1_000 };
  });
}

/** Tokens for Amazon MSK: a request to the cluster signed with the process's AWS credentials, which IAM checks. */
export function mskIamTokens(region: string): TokenSource {
  return reused(Date.now, async () => {
    // Only who uses MSK pays for loading the AWS SDK.
    const { generateAuthToken } = await import('aws-msk-iam-sasl-signer-js');
    const { token, expiryTime } = await generateAuthToken({ region });
    return { value: token, endsAt: expiryTime };
  });
}

function reused(now: () => number, obtain: () => Promise<{ readonly value: string; readonly endsAt: number }>): TokenSource {
  let current: Promise<{ readonly value: string; readonly endsAt: number }> | undefined;
  return async () => {
    const held = await current?.catch(() => undefined);
    if (held !== undefined && held.endsAt - RENEW_BEFORE_MS > now()) return { value: held.value };
    current = obtain();
    return { value: (await current).value };
  };
}
