import { readFile, stat } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import { FolderObjectStore, S3ObjectStore, StoreRefusedError, type ObjectStore } from '@atrest/snapshot-store';
import { z } from 'zod';

/** The snapshot store of a host. Its content never passes through the control plane, which only knows the description. */
export interface AgentSnapshotStore {
  /** For people: a folder, or bucket and prefix. */
  readonly description: string;
  /** Called once for each piece of work, so that a store that was away is found again; whoever called closes it. */
  readonly open: () => Promise<ObjectStore>;
  /** Keep blocks compressed where that saves at least a tenth. Default: no; WiredTiger compresses already. */
  readonly compress?: boolean;
  /** Threads that read, hash and encrypt. Default 2. */
  readonly threads?: number;
  /** Bytes per second read from data files, and sent to the store, at most; null or absent: no limit. */
  readonly readLimit?: number | null;
  readonly uploadLimit?: number | null;
}

const rate = z.int().min(65_536, 'must be at least 65536 (bytes per second)');

/** `snapshotStore` of `agent.yaml`. */
export const SnapshotStoreFileSchema = z
  .object({
    folder: z.string().min(1).optional(),
    s3: z
      .object({
        bucket: z.string().min(3),
        prefix: z.string().default(''),
        region: z.string().min(1).default('us-east-1'),
        /** Of a store that is compatible with S3; AWS when left out. */
        endpoint: z.url({ protocol: /^https?$/ }).optional(),
        pathStyle: z.boolean().default(false),
        /** JSON with `accessKeyId`, `secretAccessKey` and perhaps `sessionToken`; the AWS SDK's own search when left out. */
        credentialsFile: z.string().optional(),
      })
      .optional(),
    compress: z.boolean().default(false),
    threads: z.int().min(1).max(64).default(2),
    readLimit: rate.optional(),
    uploadLimit: rate.optional(),
  })
  .refine((file) => (file.folder === undefined) !== (file.s3 === undefined), { message: 'must name either a folder or s3' });

const CredentialsSchema = z.object({
  accessKeyId: z.string().min(1),
  secretAccessKey: z.string().min(1),
  sessionToken: z.string().optional(),
});

/** The store that a file describes. @param absolute makes a path of the file absolute. */
export function snapshotStoreOf(file: z.infer<typeof SnapshotStoreFileSchema>, absolute: (path: string) => string): AgentSnapshotStore {
  const { compress, threads, readLimit = null, uploadLimit = null } = file;
  const how = { compress, threads, readLimit, uploadLimit };
  if (file.folder !== undefined) return { ...folderStore(absolute(file.folder)), ...how };
  const { bucket, prefix, region, endpoint = null, pathStyle, credentialsFile } = file.s3!;
  const credentials = credentialsFile === undefined ? null : credentialsIn(absolute(credentialsFile));
  const settings = { bucket, prefix, region, endpoint, forcePathStyle: pathStyle, credentials };
  const { description } = new S3ObjectStore(settings);
  return { description, open: async () => new S3ObjectStore(settings), ...how };
}

/** A folder that is there already: a missing one is more likely a volume that is not mounted than a folder that somebody forgot. */
export function folderStore(path: string): AgentSnapshotStore {
  if (!isAbsolute(path)) throw new TypeError('the folder of a snapshot store is an absolute path');
  return {
    description: `folder ${path}`,
    open: async () => {
      const found = await stat(path).catch(() => null);
      if (found === null) throw new StoreRefusedError(`The folder ${path} of the snapshot store does not exist. Is its volume mounted?`);
      return FolderObjectStore.open(path, new Date());
    },
  };
}

/**
 * Read again for each request that needs them, so that credentials may be rotated while a snapshot is written. While the file is being written, those that
 * were read last are used.
 */
function credentialsIn(path: string) {
  let last: z.infer<typeof CredentialsSchema> | null = null;
  return async () => {
    const text = await readFile(path, 'utf8').catch(() => '');
    const parsed = CredentialsSchema.safeParse(jsonOf(text));
    last = parsed.success ? parsed.data : last;
    if (last === null) {
      throw new StoreRefusedError('The credentials file of the snapshot store cannot be read, or has no accessKeyId and secretAccessKey.');
    }
    const { accessKeyId, secretAccessKey, sessionToken } = last;
    // Over at once: the SDK keeps what has no end for ever.
    return { accessKeyId, secretAccessKey, ...(sessionToken !== undefined && { sessionToken }), expiration: new Date(0) };
  };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
