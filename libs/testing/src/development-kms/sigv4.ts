import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { KmsFailure } from './kms-failure.js';

/** An access key as the server knows it. */
export interface KnownAccessKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string | null;
  /** Of the session token, milliseconds since 1970; null for keys that do not expire. */
  readonly expiresAt: number | null;
  readonly active: boolean;
  readonly userName: string;
}

export interface SignedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

export interface Principal {
  readonly accessKey: KnownAccessKey;
  /** The region the request was signed for. */
  readonly region: string;
}

/** How far the clocks of client and server may differ. */
const MAX_SKEW_MS = 5 * 60_000;

const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text, 'utf8').digest();
const sha256Hex = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex');
const compact = (date: Date): string => `${date.toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`;

/**
 * Checks a request's AWS Signature Version 4 with code that shares nothing with the SDK that made it. Throws `KmsFailure` with the
 * name and words that AWS uses.
 */
export function authenticate(
  request: SignedRequest,
  now: Date,
  find: (accessKeyId: string) => KnownAccessKey | undefined,
  expectedService: 'kms' | 'sts' = 'kms',
): Principal {
  const header = (name: string): string => {
    const value = request.headers[name.toLowerCase()];
    return (Array.isArray(value) ? value.join(',') : (value ?? '')).trim().replaceAll(/ +/g, ' ');
  };
  const authorization = header('authorization');
  if (authorization === '') throw new KmsFailure('MissingAuthenticationTokenException', 'Missing Authentication Token');
  const match =
    /^AWS4-HMAC-SHA256 Credential=([^/,]+)\/(\d{8})\/([^/,]+)\/([^/,]+)\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(
      authorization,
    );
  if (match === null) {
    throw new KmsFailure(
      'IncompleteSignatureException',
      'Authorization header requires the parameters Credential, SignedHeaders and Signature.',
    );
  }
  const [, accessKeyId = '', day = '', region = '', service = '', signedHeaders = '', signature = ''] = match;
  const accessKey = find(accessKeyId);
  if (accessKey === undefined || !accessKey.active) throw invalidToken();
  if (accessKey.sessionToken !== null && header('x-amz-security-token') !== accessKey.sessionToken) throw invalidToken();
  if (accessKey.sessionToken === null && header('x-amz-security-token') !== '') throw invalidToken();
  if (service !== expectedService) {
    throw new KmsFailure('InvalidSignatureException', `Credential should be scoped to correct service: '${expectedService}'.`);
  }

  const date = header('x-amz-date');
  assertCurrent(date, day, now);
  const names = signedHeaders.split(';');
  if (!names.includes('host') || !names.includes('x-amz-date')) {
    throw new KmsFailure('InvalidSignatureException', "'Host' and 'X-Amz-Date' must be signed headers.");
  }
  const [path = '/', query = ''] = request.path.split('?', 2);
  const canonical = [
    request.method,
    path,
    query,
    ...names.map((name) => `${name}:${header(name)}`),
    '',
    signedHeaders,
    sha256Hex(request.body),
  ].join('\n');
  const scope = `${day}/${region}/${service}/aws4_request`;
  const text = ['AWS4-HMAC-SHA256', date, scope, sha256Hex(canonical)].join('\n');
  const key = hmac(hmac(hmac(hmac(`AWS4${accessKey.secretAccessKey}`, day), region), service), 'aws4_request');
  if (!timingSafeEqual(hmac(key, text), Buffer.from(signature, 'hex'))) {
    throw new KmsFailure(
      'InvalidSignatureException',
      'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.',
    );
  }
  if (accessKey.expiresAt !== null && accessKey.expiresAt <= now.getTime()) {
    throw new KmsFailure('ExpiredTokenException', 'The security token included in the request is expired');
  }
  return { accessKey, region };
}

const invalidToken = (): KmsFailure =>
  new KmsFailure('UnrecognizedClientException', 'The security token included in the request is invalid.');

function assertCurrent(date: string, day: string, now: Date): void {
  const match = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z$/.exec(date);
  if (match === null || !date.startsWith(day)) {
    throw new KmsFailure('IncompleteSignatureException', 'Date must be in ISO-8601 basic format and agree with the credential scope.');
  }
  const [, year, month, dayOfMonth, hour, minute, second] = match.map(Number);
  const signedAt = Date.UTC(year ?? 0, (month ?? 1) - 1, dayOfMonth, hour, minute, second);
  const earliest = new Date(now.getTime() - MAX_SKEW_MS);
  const latest = new Date(now.getTime() + MAX_SKEW_MS);
  if (signedAt < earliest.getTime()) {
    const words = `Signature expired: ${date} is now earlier than ${compact(earliest)} (${compact(now)} - 5 min.)`;
    throw new KmsFailure('InvalidSignatureException', words);
  }
  if (signedAt > latest.getTime()) {
    const words = `Signature not yet current: ${date} is still later than ${compact(latest)} (${compact(now)} + 5 min.)`;
    throw new KmsFailure('InvalidSignatureException', words);
  }
}
