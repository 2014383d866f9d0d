import { createHash, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { crc32 } from 'node:zlib';
import { signatureProblem, type S3AccessKey } from './signature.js';

/** What the server does wrong, until it is told otherwise. */
export interface S3Faults {
  /** Every request of these methods gets this error. */
  readonly refuse?: { readonly methods: readonly string[]; readonly status: number; readonly code: string; readonly count?: number };
  /** Answers 200 to a put and keeps only the first half of it. */
  readonly cutPuts?: boolean;
  /** Answers 200 to a put and keeps nothing. */
  readonly losePuts?: boolean;
  /** Does not know `If-None-Match` (501), as older compatible stores. */
  readonly noConditions?: boolean;
  /** Ignores checksums, as older compatible stores. */
  readonly noChecksums?: boolean;
  /** Puts and deletions show up in listings only when this many later requests were served. */
  readonly listLag?: number;
  /** Keys whose deletion Object Lock forbids. */
  readonly locked?: (key: string) => boolean;
  /** Reads a put and resets the connection. */
  readonly resetPuts?: number;
  /** Reads requests no faster than this, in bytes per second. */
  readonly bytesPerSecond?: number;
}

interface StoredBody {
  readonly body: Buffer;
  readonly modifiedAt: Date;
  /** Requests served when it was stored. */
  readonly since: number;
}

class S3Failure extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

const PAGE = 1_000;
const escapeXml = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/**
 * A development tool: an S3 on the loopback with one bucket in memory that the real AWS SDK talks to. It checks signatures and
 * checksums and answers the handful of operations that a snapshot store needs. It protects nothing and forgets everything.
 */
export class DevelopmentS3 {
  readonly bucket: string;
  readonly #server: Server;
  readonly #objects = new Map<string, StoredBody>();
  readonly #gone = new Map<string, StoredBody & { readonly until: number }>();
  #accessKeys: readonly S3AccessKey[];
  #faults: S3Faults = {};
  #refusals = 0;
  #resets = 0;
  #served = 0;
  /** Methods and keys of the requests so far. */
  readonly requests: string[] = [];

  private constructor(bucket: string, accessKeys: readonly S3AccessKey[]) {
    this.bucket = bucket;
    this.#accessKeys = accessKeys;
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  /** Listens on a free port of the loopback. */
  static async start(bucket: string, accessKeys: readonly S3AccessKey[]): Promise<DevelopmentS3> {
    const s3 = new DevelopmentS3(bucket, accessKeys);
    await new Promise<void>((resolve, reject) => s3.#server.once('error', reject).listen(0, '127.0.0.1', resolve));
    return s3;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Replaces what goes wrong; `{}` ends all of it. */
  fail(faults: S3Faults): void {
    this.#faults = faults;
    this.#refusals = 0;
    this.#resets = 0;
  }

  /** Replaces the credentials that are accepted. */
  accept(accessKeys: readonly S3AccessKey[]): void {
    this.#accessKeys = accessKeys;
  }

  /** The bytes under a key, for tests that damage them. */
  objectAt(key: string): Buffer | undefined {
    return this.#objects.get(key)?.body;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const body = await this.#read(request);
      this.#served += 1;
      this.#answer(request, body, response);
    } catch (error) {
      if (request.destroyed && !(error instanceof S3Failure)) return;
      const failure = error instanceof S3Failure ? error : new S3Failure(500, 'InternalError', String(error));
      response.writeHead(failure.status, { 'Content-Type': 'application/xml', 'x-amz-request-id': randomUUID() });
      const xml = `<Error><Code>${failure.code}</Code><Message>${escapeXml(failure.message)}</Message></Error>`;
      response.end(request.method === 'HEAD' ? undefined : xml);
    }
  }

  async #read(request: IncomingMessage): Promise<Buffer> {
    const parts: Buffer[] = [];
    for await (const part of request as AsyncIterable<Buffer>) {
      parts.push(part);
      const { bytesPerSecond } = this.#faults;
      if (bytesPerSecond !== undefined) await new Promise((resolve) => setTimeout(resolve, (part.length / bytesPerSecond) * 1_000));
    }
    return Buffer.concat(parts);
  }

  #answer(request: IncomingMessage, body: Buffer, response: ServerResponse): void {
    const method = request.method ?? 'GET';
    const url = new URL(request.url ?? '/', this.endpoint);
    const [, bucket = '', ...rest] = url.pathname.split('/').map(decodeURIComponent);
    const key = rest.join('/');
    this.requests.push(`${method} ${key}`);
    const problem = signatureProblem({ method, url: request.url ?? '/', headers: request.headers }, this.#accessKeys, new Date());
    if (problem !== null) throw new S3Failure(403, problem, problem);
    const named = createHash('sha256').update(body).digest('hex');
    const announced = request.headers['x-amz-content-sha256'];
    if (announced !== 'UNSIGNED-PAYLOAD' && announced !== named)
      throw new S3Failure(400, 'XAmzContentSHA256Mismatch', 'The payload differs.');
    if (bucket !== this.bucket) throw new S3Failure(404, 'NoSuchBucket', 'The specified bucket does not exist');
    const { refuse } = this.#faults;
    if (refuse?.methods.includes(method) === true && this.#refusals < (refuse.count ?? Number.POSITIVE_INFINITY)) {
      this.#refusals += 1;
      throw new S3Failure(refuse.status, refuse.code, refuse.code);
    }
    if (method === 'PUT') return this.#put(key, body, request, response);
    if (method === 'GET' && key === '') return this.#list(url, response);
    if (method === 'GET' || method === 'HEAD') return this.#get(key, method, response);
    if (method === 'POST' && url.searchParams.has('delete')) return this.#delete(body, response);
    throw new S3Failure(501, 'NotImplemented', `${method} is not known here`);
  }

  #put(key: string, body: Buffer, request: IncomingMessage, response: ServerResponse): void {
    const faults = this.#faults;
    if (this.#resets < (faults.resetPuts ?? 0)) {
      this.#resets += 1;
      request.socket.resetAndDestroy();
      return;
    }
    if (request.headers['if-none-match'] === '*') {
      if (faults.noConditions === true)
        throw new S3Failure(501, 'NotImplemented', 'A header you provided implies functionality that is not implemented');
      if (this.#objects.has(key))
        throw new S3Failure(412, 'PreconditionFailed', 'At least one of the pre-conditions you specified did not hold');
    }
    const headers: Record<string, string> = { ETag: `"${createHash('md5').update(body).digest('hex')}"` };
    const checksum = request.headers['x-amz-checksum-crc32'];
    if (checksum !== undefined && faults.noChecksums !== true) {
      const own = Buffer.alloc(4);
      own.writeUInt32BE(crc32(body));
      if (own.toString('base64') !== checksum) throw new S3Failure(400, 'BadDigest', 'The CRC32 you specified did not match');
      headers['x-amz-checksum-crc32'] = checksum as string;
    }
    if (faults.losePuts !== true) {
      const kept = faults.cutPuts === true ? body.subarray(0, Math.floor(body.length / 2)) : body;
      this.#objects.set(key, { body: Buffer.from(kept), modifiedAt: new Date(), since: this.#served });
    }
    response.writeHead(200, headers).end();
  }

  #get(key: string, method: string, response: ServerResponse): void {
    const object = this.#objects.get(key);
    if (object === undefined) throw new S3Failure(404, 'NoSuchKey', 'The specified key does not exist.');
    const headers = { 'Content-Length': object.body.length, 'Last-Modified': object.modifiedAt.toUTCString() };
    response.writeHead(200, headers).end(method === 'HEAD' ? undefined : object.body);
  }

  #list(url: URL, response: ServerResponse): void {
    const prefix = url.searchParams.get('prefix') ?? '';
    const after = url.searchParams.get('continuation-token') ?? '';
    const lag = this.#faults.listLag ?? 0;
    const settled = [...this.#objects].filter(([, { since }]) => this.#served - since >= lag);
    const lingering = [...this.#gone].filter(([, { until }]) => this.#served < until);
    const keys = [...new Map([...lingering, ...settled])]
      .filter(([key]) => key.startsWith(prefix) && key > after)
      .sort(([a], [b]) => (a < b ? -1 : 1));
    const page = keys.slice(0, PAGE);
    const contents = page.map(
      ([key, { body, modifiedAt }]) =>
        `<Contents><Key>${escapeXml(key)}</Key><LastModified>${wholeSeconds(modifiedAt).toISOString()}</LastModified><Size>${body.length}</Size></Contents>`,
    );
    const more = keys.length > PAGE;
    const token = more ? `<NextContinuationToken>${escapeXml(page.at(-1)![0])}</NextContinuationToken>` : '';
    const xml = `<?xml version="1.0"?><ListBucketResult><IsTruncated>${more}</IsTruncated><KeyCount>${page.length}</KeyCount>${token}${contents.join('')}</ListBucketResult>`;
    response.writeHead(200, { 'Content-Type': 'application/xml' }).end(xml);
  }

  #delete(body: Buffer, response: ServerResponse): void {
    const keys = [...body.toString().matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, key]) => key!);
    const errors: string[] = [];
    for (const key of keys) {
      if (this.#faults.locked?.(key) === true) {
        errors.push(
          `<Error><Key>${escapeXml(key)}</Key><Code>AccessDenied</Code><Message>Access Denied because object protected by object lock.</Message></Error>`,
        );
        continue;
      }
      const object = this.#objects.get(key);
      if (object !== undefined) this.#gone.set(key, { ...object, until: this.#served + (this.#faults.listLag ?? 0) });
      this.#objects.delete(key);
    }
    response.writeHead(200, { 'Content-Type': 'application/xml' }).end(`<DeleteResult>${errors.join('')}</DeleteResult>`);
  }
}

/** As S3 has them, in lists like in headers. */
const wholeSeconds = (date: Date): Date => new Date(Math.floor(date.getTime() / 1_000) * 1_000);
