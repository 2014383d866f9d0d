import { z } from 'zod';
import { ObjectIdSchema } from '../ids.js';
import { KeyProviderNameSchema } from '../vocabulary.js';

const AtlasTimeSchema = z.iso.datetime({ offset: false });
const LinksSchema = z.array(z.object({ rel: z.string(), href: z.string() }));

/**
 * What is known of a customer key. `NOT_NOW`: it does not open anything at present, which can be repaired. `NEVER`: nobody can bring it back. `NOT_CHECKED`: no
 * key configuration names it any more, so nobody looks.
 */
export const KEY_STANDINGS = ['USABLE', 'NOT_NOW', 'NEVER', 'NOT_CHECKED'] as const;
export const KeyStandingSchema = z.object({
  kind: z.enum(KEY_STANDINGS),
  /** For people; null for a key that is usable. */
  reason: z.string().nullable(),
  since: AtlasTimeSchema.nullable(),
});
export type KeyStandingView = z.infer<typeof KeyStandingSchema>;

/** Snapshots that only this key opens. Times are null when there is none. */
export const DependentSnapshotsSchema = z.object({
  count: z.int().nonnegative(),
  /** Being taken, or waiting to be, under this key. */
  unfinished: z.int().nonnegative(),
  /** Moments of the data. */
  oldestCreatedAt: AtlasTimeSchema.nullable(),
  newestCreatedAt: AtlasTimeSchema.nullable(),
  /** When the last of them expires by its retention. */
  lastExpiresAt: AtlasTimeSchema.nullable(),
});

/** A customer key that is or was used in a project. */
export const EncryptionKeySchema = z.object({
  /** Short name of the key, the `masterKeyUUID` of its snapshots; it can stand in a path as it is. */
  id: z.uuid(),
  /** The key as snapshots show it, e.g. its ARN. In a path it must be percent-encoded. */
  encryptionKeyId: z.string(),
  provider: KeyProviderNameSchema,
  /** The key configuration that names it now; null: none. */
  keyConfigurationId: ObjectIdSchema.nullable(),
  standing: KeyStandingSchema,
  snapshots: DependentSnapshotsSchema,
  links: LinksSchema,
});
export type EncryptionKey = z.infer<typeof EncryptionKeySchema>;

/** Why a key is still needed. */
export const KEY_NEEDS = ['CLUSTERS', 'KEY_CONFIGURATION', 'SNAPSHOTS'] as const;

/** Everything that depends on a customer key. Extension: answer to `GET …/encryptionKeys/{keyId}/usage`. */
export const KeyUsageSchema = EncryptionKeySchema.extend({
  /** Clusters whose databases and new snapshots it protects. */
  clusters: z.object({
    count: z.int().nonnegative(),
    /** Sorted; the first hundred. */
    names: z.array(z.string()),
  }),
  /** Windows of oplog under this key. This release keeps none. */
  oplogWindows: z.array(z.object({ clusterName: z.string(), from: AtlasTimeSchema, to: AtlasTimeSchema })),
  /** Downloads of its snapshots that are not over. This release serves none. */
  downloads: z.array(z.object({ id: ObjectIdSchema, expiresAt: AtlasTimeSchema })),
  /** Keys that open its snapshots when this one is gone. None: a second key stands in only while the first cannot be asked, never after it is gone. */
  otherKeys: z.array(z.object({ encryptionKeyId: z.string(), provider: KeyProviderNameSchema })),
  deletion: z.object({
    /** Nothing depends on it. */
    harmless: z.boolean(),
    /** The first moment at which that is so if nothing changes; null when it cannot be told, because the key is still in use. */
    harmlessFrom: AtlasTimeSchema.nullable(),
    /** What it is needed for, for people. */
    neededFor: z.array(z.object({ need: z.enum(KEY_NEEDS), detail: z.string() })),
  }),
});
export type KeyUsage = z.infer<typeof KeyUsageSchema>;
