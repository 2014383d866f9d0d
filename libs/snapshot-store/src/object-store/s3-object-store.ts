import { crc32 } from 'node:zlib';
import {
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  type S3ClientConfig,
} from '@aws-sdk/client-s3';
import { StoreRefusedError, StoreUnavailableError } from '../errors.js';
import { assertObjectKey, type ObjectStore, type StoredObject, type Undeleted } from './object-store.js';
import { isConflict, isMissing, isPresent, isUnsupported, s3Error } from './s3-errors.js';

/** Where and how to reach a bucket. */
export interface S3StoreSettings {
  readonly bucket: string;
  /** Before every key, e.g. `atrest/prod`; empty for none. Slashes at its ends do not count. */
  readonly prefix: string;
  /** As S3 needs it for signatures; stores that have none take `us-east-1`. */
  readonly region: string;
  /** Of a store that is compatible with S3; null for AWS. */
  readonly endpoint: string | null;
  /** The bucket's name in the path and not in the host name, as most compatible stores want it. */
  readonly forcePathStyle: boolean;
  /** Called for each signature that needs fresh ones: credentials may be renewed while a snapshot is written (F63). Null: the SDK's own search. */
  readonly credentials: Exclude<S3ClientConfig['credentials'], undefined> | null;
}

const CONNECT_TIMEOUT_MS = 5_000;
/** Without a byte for so long a connection is dead; a slow one that moves is not (F62). */
const IDLE_TIMEOUT_MS = 60_000;
/** 4 MiB at 50 KB/s; the SDK has no limit of its own. */
const REQUEST_TIMEOUT_MS = 90_000;
const DELETE_BATCH = 1_000;

const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const PREFIX = /^(?:[A-Za-z0-9._-]+(?:\/[A-Za-z0-9._-]+)*)?$/;

/**
 * Objects in a bucket of S3 or a store compatible with it. No object is larger than a block and its header (4 MiB and 40 bytes), so
 * every put is one request: there are no multipart uploads that could lose a part or be left half done (F56).
 */
export class S3ObjectStore implements ObjectStore {
  readonly description: string;
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #prefix: string;
  /** Learnt from the first refusal: some compatible stores do not know `If-None-Match`. */
  #conditional = true;

  /**
   * Makes no request.
   *
   * @throws StoreRefusedError for settings that cannot be right.
   */
  constructor(settings: S3StoreSettings) {
    const prefix = settings.prefix.replace(/^\/+|\/+$/g, '');
    if (!BUCKET.test(settings.bucket)) throw new StoreRefusedError('The name of the bucket is not one that S3 allows.');
    if (!PREFIX.test(prefix)) {
      throw new StoreRefusedError('The prefix in the bucket may have letters, digits, `.`, `_`, `-` and single slashes between them.');
    }
    if (settings.region.trim() === '')
      throw new StoreRefusedError('The region of the bucket is missing; stores without regions take us-east-1.');
    this.#bucket = settings.bucket;
    this.#prefix = prefix === '' ? '' : `${prefix}/`;
    this.description = `s3 ${settings.bucket}/${prefix}`;
    this.#client = new S3Client({
      region: settings.region,
      forcePathStyle: settings.forcePathStyle,
      maxAttempts: 4,
      requestHandler: {
        connectionTimeout: CONNECT_TIMEOUT_MS,
        socketTimeout: IDLE_TIMEOUT_MS,
        requestTimeout: REQUEST_TIMEOUT_MS,
        throwOnRequestTimeout: true,
      },
      ...(settings.endpoint === null ? {} : { endpoint: settings.endpoint }),
      ...(settings.credentials === null ? {} : { credentials: settings.credentials }),
    });
  }

  #place(key: string): { readonly Bucket: string; readonly Key: string } {
    assertObjectKey(key);
    return { Bucket: this.#bucket, Key: `${this.#prefix}${key}` };
  }

  async put(key: string, body: Uint8Array, options: { readonly ifAbsent?: boolean } = {}): Promise<'stored' | 'exists'> {
    const place = this.#place(key);
    const ifAbsent = options.ifAbsent === true;
    for (;;) {
      if (ifAbsent && !this.#conditional && (await this.head(key)) !== null) return 'exists';
      try {
        const checksum = checksumOf(body);
        const answer = await this.#client.send(
          new PutObjectCommand({
            ...place,
            Body: body,
            ContentLength: body.length,
            ContentType: 'application/octet-stream',
            ChecksumCRC32: checksum,
            ...(ifAbsent && this.#conditional ? { IfNoneMatch: '*' } : {}),
          }),
        );
        // A store that answers with our checksum has looked at every byte. One that does not might have cut it (F55).
        if (answer.ChecksumCRC32 !== checksum) await this.#confirm(key, body.length);
        return 'stored';
      } catch (error) {
        if (ifAbsent && isPresent(error)) return 'exists';
        if (ifAbsent && isConflict(error)) continue;
        if (ifAbsent && this.#conditional && isUnsupported(error)) {
          this.#conditional = false;
          continue;
        }
        if (error instanceof StoreUnavailableError) throw error;
        throw s3Error(`Writing ${key}`, this.#bucket, error);
      }
    }
  }

  async #confirm(key: string, length: number): Promise<void> {
    const found = await this.head(key);
    if (found?.size === length) return;
    const seen = found === null ? 'it is not there' : `it has ${found.size} of ${length} bytes`;
    throw new StoreUnavailableError(`Writing ${key} in the bucket ${this.#bucket} was confirmed, but ${seen}.`);
  }

  async get(key: string): Promise<Buffer | null> {
    try {
      const answer = await this.#client.send(new GetObjectCommand(this.#place(key)));
      const bytes = await answer.Body!.transformToByteArray();
      return Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length);
    } catch (error) {
      if (error instanceof TypeError) throw error;
      if (isMissing(error)) return null;
      throw s3Error(`Reading ${key}`, this.#bucket, error);
    }
  }

  async head(key: string): Promise<StoredObject | null> {
    try {
      const answer = await this.#client.send(new HeadObjectCommand(this.#place(key)));
      return { key, size: answer.ContentLength ?? 0, modifiedAt: answer.LastModified ?? new Date(0) };
    } catch (error) {
      if (error instanceof TypeError) throw error;
      if (isMissing(error)) return null;
      throw s3Error(`Looking for ${key}`, this.#bucket, error);
    }
  }

  async *list(prefix: string): AsyncIterable<StoredObject> {
    let token: string | undefined;
    do {
      let answer;
      try {
        answer = await this.#client.send(
          new ListObjectsV2Command({
            Bucket: this.#bucket,
            Prefix: `${this.#prefix}${prefix}`,
            ...(token === undefined ? {} : { ContinuationToken: token }),
          }),
        );
      } catch (error) {
        throw s3Error(`Listing ${prefix}`, this.#bucket, error);
      }
      for (const { Key, Size, LastModified } of answer.Contents ?? []) {
        if (Key !== undefined) yield { key: Key.slice(this.#prefix.length), size: Size ?? 0, modifiedAt: LastModified ?? new Date(0) };
      }
      token = answer.IsTruncated === true ? answer.NextContinuationToken : undefined;
    } while (token !== undefined);
  }

  async delete(keys: readonly string[]): Promise<readonly Undeleted[]> {
    const places = keys.map((key) => ({ Key: this.#place(key).Key }));
    const undeleted: Undeleted[] = [];
    for (let at = 0; at < places.length; at += DELETE_BATCH) {
      try {
        const answer = await this.#client.send(
          new DeleteObjectsCommand({ Bucket: this.#bucket, Delete: { Objects: places.slice(at, at + DELETE_BATCH), Quiet: true } }),
        );
        for (const { Key, Code, Message } of answer.Errors ?? []) {
          if (Key === undefined || Code === 'NoSuchKey') continue;
          undeleted.push({ key: Key.slice(this.#prefix.length), reason: [Code, Message].filter((part) => part !== undefined).join(': ') });
        }
      } catch (error) {
        throw s3Error('Deleting objects', this.#bucket, error);
      }
    }
    return undeleted;
  }

  async flush(): Promise<void> {
    // S3 answers a put only when the object is durable.
  }

  async close(): Promise<void> {
    this.#client.destroy();
  }
}

/** CRC-32 as S3 writes it: four bytes, Base64. */
function checksumOf(body: Uint8Array): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(body));
  return bytes.toString('base64');
}
