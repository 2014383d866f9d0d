import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { FormatUnknownError, ObjectDamagedError, ObjectMissingError } from '../errors.js';
import type { ObjectStore } from '../object-store/object-store.js';
import { deriveEpochKeys, EPOCH_ID, KEY_BYTES, type EpochKeys } from './keys.js';
import { epochHeaderKey } from './layout.js';

/** What a data key belongs to; the customer's key authenticates it with the wrapped key. */
export interface DataKeyContext {
  readonly projectId: string;
  readonly purpose: string;
}

/** Wraps data keys with the customer key. A `KeyProvider` of libs/kms is one; the wrapped form is JSON that only it understands. */
export interface DataKeyWrapper<Wrapped = never> {
  wrap(dataKey: Uint8Array, context: DataKeyContext): Promise<object>;
  unwrap(wrapped: Wrapped, context: DataKeyContext): Promise<Uint8Array>;
}

/** Whose snapshots an epoch holds: one cluster under one encryption key id. */
export interface EpochOwner {
  readonly epochId: string;
  readonly projectId: string;
  readonly clusterId: string;
  /** The customer key, as it is shown with each snapshot. */
  readonly encryptionKeyId: string;
}

const ID = z.string().regex(EPOCH_ID);
const HeaderSchema = z.strictObject({
  format: z.literal(1),
  epochId: ID,
  projectId: ID,
  clusterId: ID,
  encryptionKeyId: z.string().min(1),
  createdAt: z.iso.datetime(),
  wrappedDataKey: z.record(z.string(), z.unknown()),
  /** HMAC-SHA-256 of all the rest under the epoch's header key, hexadecimal. */
  proof: z.string().regex(/^[0-9a-f]{64}$/),
});

/** The header of an epoch as it lies in the store. Holds no secret: the data key in it is wrapped. */
export type EpochHeader = z.infer<typeof HeaderSchema>;

/** An epoch whose data key was unwrapped. */
export interface OpenEpoch {
  readonly header: EpochHeader;
  readonly keys: EpochKeys;
}

/** What the data key of an epoch is bound to. */
export const dataKeyContext = (owner: Pick<EpochOwner, 'projectId' | 'clusterId' | 'epochId'>): DataKeyContext => ({
  projectId: owner.projectId,
  purpose: `snapshot-data-key/${owner.clusterId}/${owner.epochId}`,
});

function proofOf(header: Omit<EpochHeader, 'proof'>, keys: EpochKeys): Buffer {
  // In a fixed order, whatever order a store or a person gave the file's members.
  const { format, epochId, projectId, clusterId, encryptionKeyId, createdAt, wrappedDataKey } = header;
  const text = JSON.stringify([format, epochId, projectId, clusterId, encryptionKeyId, createdAt, canonical(wrappedDataKey)]);
  return createHmac('sha256', keys.header).update(text).digest();
}

function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== 'object' || value === null) return value;
  return Object.entries(value)
    .sort(([a], [b]) => comparePoints(a, b))
    .map(([name, member]) => [name, canonical(member)]);
}

const comparePoints = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/**
 * Begins an epoch: makes a data key, wraps it with the customer key and writes the header. When somebody else began the same epoch
 * in the meantime, theirs is opened: an epoch has one data key.
 *
 * @throws what the wrapper throws (the provider's own error), {@link StoreUnavailableError}, {@link StoreRefusedError}.
 */
export async function beginEpoch(store: ObjectStore, owner: EpochOwner, wrapper: DataKeyWrapper, now: Date): Promise<OpenEpoch> {
  const dataKey = randomBytes(KEY_BYTES);
  try {
    const wrappedDataKey = (await wrapper.wrap(dataKey, dataKeyContext(owner))) as Record<string, unknown>;
    const keys = deriveEpochKeys(owner.epochId, dataKey);
    const unproven = { format: 1 as const, ...owner, createdAt: now.toISOString(), wrappedDataKey };
    const header: EpochHeader = { ...unproven, proof: proofOf(unproven, keys).toString('hex') };
    const put = await store.put(epochHeaderKey(owner.epochId), Buffer.from(`${JSON.stringify(header, null, 2)}\n`), { ifAbsent: true });
    if (put === 'exists') return await openEpoch(store, owner.epochId, wrapper);
    await store.flush();
    return { header, keys };
  } finally {
    dataKey.fill(0);
  }
}

/**
 * Reads an epoch's header without any key, e.g. to learn which key would be needed.
 *
 * @throws ObjectMissingError, ObjectDamagedError, FormatUnknownError
 */
export async function readEpochHeader(store: ObjectStore, epochId: string): Promise<EpochHeader> {
  const key = epochHeaderKey(epochId);
  const bytes = await store.get(key);
  if (bytes === null) throw new ObjectMissingError(key);
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString());
  } catch {
    throw new ObjectDamagedError(key, 'it is no JSON');
  }
  const format = (json as { format?: unknown } | null)?.format;
  if (typeof format === 'number' && format !== 1) throw new FormatUnknownError(key, String(format));
  const header = HeaderSchema.safeParse(json);
  if (!header.success) throw new ObjectDamagedError(key, 'it is no epoch header');
  if (header.data.epochId !== epochId) throw new ObjectDamagedError(key, `it belongs to the epoch ${header.data.epochId}`);
  return header.data;
}

/**
 * Opens an epoch: one request to the customer's KMS.
 *
 * @throws what the wrapper throws, ObjectMissingError, ObjectDamagedError, FormatUnknownError
 */
export async function openEpoch(store: ObjectStore, epochId: string, wrapper: DataKeyWrapper): Promise<OpenEpoch> {
  const header = await readEpochHeader(store, epochId);
  const dataKey = await wrapper.unwrap(header.wrappedDataKey as never, dataKeyContext(header));
  try {
    if (dataKey.length !== KEY_BYTES) throw new ObjectDamagedError(epochHeaderKey(epochId), `its data key has ${dataKey.length} bytes`);
    const keys = deriveEpochKeys(epochId, dataKey);
    if (!timingSafeEqual(proofOf(header, keys), Buffer.from(header.proof, 'hex'))) {
      throw new ObjectDamagedError(epochHeaderKey(epochId), 'its proof does not fit: it was edited, or its data key is another');
    }
    return { header, keys };
  } finally {
    dataKey.fill(0);
  }
}
