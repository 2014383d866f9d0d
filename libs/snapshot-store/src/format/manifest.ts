import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { FormatUnknownError, ObjectDamagedError, ObjectMissingError } from '../errors.js';
import type { ObjectStore } from '../object-store/object-store.js';
import { NAME_BYTES } from './block.js';
import { EPOCH_ID, type EpochKeys } from './keys.js';
import { manifestKey } from './layout.js';

const MAGIC = Buffer.from('ATRM');
const VERSION = 1;
const PREFIX_BYTES = 12;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** A label is for a person and for a catalogue that is rebuilt; more than this is a mistake. */
const MAX_LABEL_BYTES = 64 * 1024;

const ID = z.string().regex(EPOCH_ID);
const Count = z.int().nonnegative();

const LabelSchema = z.strictObject({
  format: z.literal(1),
  snapshotId: ID,
  epochId: ID,
  /** When the manifest was written. */
  completedAt: z.iso.datetime(),
  /** What a catalogue wants to know without the key: names and numbers, never content. */
  labels: z.record(z.string(), z.json()),
});

const BodySchema = z.strictObject({
  /** The list of files is kept in blocks like any content; these are their names, one after the other, Base64. */
  fileList: z.strictObject({ bytes: Count, blocks: z.base64() }),
  files: Count,
  /** Of all files. */
  bytes: Count,
  blocks: Count,
  /** What this snapshot added to the store. */
  storedBytes: Count,
  /** What the taker recorded of the server (versions, settings, optime); the store does not look inside. */
  source: z.record(z.string(), z.json()),
});

/** The part of a manifest that can be read without a key. It is authenticated all the same once the key is there. */
export type ManifestLabel = z.infer<typeof LabelSchema>;

/** A whole manifest. */
export interface Manifest extends ManifestLabel, z.infer<typeof BodySchema> {}

/** The names of the blocks that hold the list of files, in order. */
export function fileListBlocks(manifest: Pick<Manifest, 'fileList'>): Buffer[] {
  const bytes = Buffer.from(manifest.fileList.blocks, 'base64');
  return Array.from({ length: bytes.length / NAME_BYTES }, (_, index) => bytes.subarray(index * NAME_BYTES, (index + 1) * NAME_BYTES));
}

/** Seals a manifest: prefix, label in clear, nonce, body, tag; everything before the nonce is authenticated with the body. */
export function sealManifest(keys: EpochKeys, manifest: Manifest): Buffer {
  const { fileList, files, bytes, blocks, storedBytes, source, ...label } = manifest;
  const clear = Buffer.from(JSON.stringify(LabelSchema.parse(label)));
  if (clear.length > MAX_LABEL_BYTES) throw new RangeError(`the labels of a snapshot have at most ${MAX_LABEL_BYTES} bytes`);
  const prefix = Buffer.alloc(PREFIX_BYTES);
  MAGIC.copy(prefix);
  prefix[4] = VERSION;
  prefix.writeUInt32BE(clear.length, 8);
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', keys.manifest, nonce);
  cipher.setAAD(Buffer.concat([prefix, clear]));
  const body = cipher.update(JSON.stringify(BodySchema.parse({ fileList, files, bytes, blocks, storedBytes, source })));
  return Buffer.concat([prefix, clear, nonce, body, cipher.final(), cipher.getAuthTag()]);
}

interface Parts {
  readonly label: ManifestLabel;
  readonly authenticated: Buffer;
  readonly nonce: Buffer;
  readonly body: Buffer;
  readonly tag: Buffer;
}

function partsOf(key: string, sealed: Buffer): Parts {
  const damaged = (detail: string): ObjectDamagedError => new ObjectDamagedError(key, detail);
  if (sealed.length === 0) throw damaged('it is empty');
  if (sealed.length < PREFIX_BYTES) throw damaged('it is cut');
  if (!sealed.subarray(0, 4).equals(MAGIC)) throw damaged('it is no manifest');
  if (sealed[4] !== VERSION) throw new FormatUnknownError(key, String(sealed[4]));
  const labelEnd = PREFIX_BYTES + sealed.readUInt32BE(8);
  if (labelEnd - PREFIX_BYTES > MAX_LABEL_BYTES || sealed.length < labelEnd + NONCE_BYTES + TAG_BYTES) throw damaged('it is cut');
  const label = LabelSchema.safeParse(parseJson(sealed.subarray(PREFIX_BYTES, labelEnd)));
  if (!label.success) throw damaged('its label cannot be read');
  return {
    label: label.data,
    authenticated: sealed.subarray(0, labelEnd),
    nonce: sealed.subarray(labelEnd, labelEnd + NONCE_BYTES),
    body: sealed.subarray(labelEnd + NONCE_BYTES, sealed.length - TAG_BYTES),
    tag: sealed.subarray(sealed.length - TAG_BYTES),
  };
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
}

/**
 * What a manifest says without a key. Not authenticated: a hint for people and for a rebuilt catalogue, no proof.
 *
 * @throws ObjectDamagedError, FormatUnknownError
 */
export function readManifestLabel(key: string, sealed: Buffer): ManifestLabel {
  return partsOf(key, sealed).label;
}

/** @throws ObjectDamagedError, FormatUnknownError */
export function openManifest(keys: EpochKeys, snapshotId: string, sealed: Buffer): Manifest {
  const key = manifestKey(keys.epochId, snapshotId);
  const { label, authenticated, nonce, body, tag } = partsOf(key, sealed);
  const decipher = createDecipheriv('aes-256-gcm', keys.manifest, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(authenticated);
  decipher.setAuthTag(tag);
  let text: Buffer;
  try {
    text = Buffer.concat([decipher.update(body), decipher.final()]);
  } catch {
    throw new ObjectDamagedError(key, 'it was changed, or is sealed under another key');
  }
  // A whole manifest of another snapshot, put in this one's place, is authentic and yet wrong.
  if (label.snapshotId !== snapshotId || label.epochId !== keys.epochId) {
    throw new ObjectDamagedError(key, `it belongs to the snapshot ${label.snapshotId} of the epoch ${label.epochId}`);
  }
  const parsed = BodySchema.safeParse(parseJson(text));
  if (!parsed.success || Buffer.from(parsed.data.fileList.blocks, 'base64').length % NAME_BYTES !== 0) {
    throw new ObjectDamagedError(key, 'its body cannot be read');
  }
  return { ...label, ...parsed.data };
}

/** @throws ObjectMissingError, ObjectDamagedError, FormatUnknownError */
export async function readManifest(store: ObjectStore, keys: EpochKeys, snapshotId: string): Promise<Manifest> {
  const key = manifestKey(keys.epochId, snapshotId);
  const sealed = await store.get(key);
  if (sealed === null) throw new ObjectMissingError(key);
  return openManifest(keys, snapshotId, sealed);
}
