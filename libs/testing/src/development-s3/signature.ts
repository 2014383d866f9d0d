import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/** A request as it came over the wire. */
export interface SignedS3Request {
  readonly method: string;
  /** Path and query, still encoded. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
}

/** Credentials that the server accepts. */
export interface S3AccessKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();

/**
 * Checks the AWS Signature Version 4 of an S3 request, whose payload hash is named in a header and whose path is encoded once. Answers
 * the name of S3's error, or null when the signature is right.
 */
export function signatureProblem(request: SignedS3Request, keys: readonly S3AccessKey[], now: Date): string | null {
  const header = (name: string): string => String(request.headers[name] ?? '').trim();
  const match =
    /^AWS4-HMAC-SHA256 Credential=([^/,]+)\/(\d{8})\/([^/,]+)\/s3\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(
      header('authorization'),
    );
  if (match === null) return 'AccessDenied';
  const [, accessKeyId = '', day = '', region = '', signedHeaders = '', signature = ''] = match;
  const accessKey = keys.find((key) => key.accessKeyId === accessKeyId);
  if (accessKey === undefined) return 'InvalidAccessKeyId';
  const date = header('x-amz-date');
  const signedAt = Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  if (!(Math.abs(now.getTime() - signedAt) < 15 * 60_000)) return 'RequestTimeTooSkewed';
  const [path = '/', query = ''] = request.url.split('?', 2);
  const parameters = query === '' ? [] : query.split('&').map((parameter) => (parameter.includes('=') ? parameter : `${parameter}=`));
  const canonical = [
    request.method,
    path,
    parameters.sort().join('&'),
    ...signedHeaders.split(';').map((name) => `${name}:${header(name).replaceAll(/ +/g, ' ')}`),
    '',
    signedHeaders,
    header('x-amz-content-sha256'),
  ].join('\n');
  const scope = `${day}/${region}/s3/aws4_request`;
  const text = ['AWS4-HMAC-SHA256', date, scope, createHash('sha256').update(canonical).digest('hex')].join('\n');
  const key = hmac(hmac(hmac(hmac(`AWS4${accessKey.secretAccessKey}`, day), region), 's3'), 'aws4_request');
  return timingSafeEqual(hmac(key, text), Buffer.from(signature, 'hex')) ? null : 'SignatureDoesNotMatch';
}
