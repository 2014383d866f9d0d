import { z } from 'zod';
import { ObjectDamagedError } from '../errors.js';
import type { DataKeyWrapper } from './epoch.js';
import { KEY_BYTES } from './keys.js';

/** What an epoch's header shows in place of a customer key when there is none. */
export const NOT_ENABLED = 'Not enabled';

const UnsealedSchema = z.strictObject({
  format: z.literal(1),
  provider: z.literal('NONE'),
  mechanism: z.literal('NONE'),
  /** Base64, in clear. */
  dataKey: z.base64().length(44),
});

/** A data key that no customer key wraps: it lies in clear beside what it encrypts. */
export type UnsealedDataKey = z.infer<typeof UnsealedSchema>;

/** Whether the data key of an epoch lies in clear in its header. */
export const isUnsealed = (wrapped: unknown): boolean =>
  typeof wrapped === 'object' && wrapped !== null && 'provider' in wrapped && wrapped.provider === 'NONE';

/**
 * For clusters without encryption at rest: the format stays one, and the data key is in the header for everybody who can read the store. It
 * protects nothing, and says so (`provider: NONE`).
 */
export const unsealedDataKeys: DataKeyWrapper<UnsealedDataKey> = {
  wrap: async (dataKey) => ({ format: 1, provider: 'NONE', mechanism: 'NONE', dataKey: Buffer.from(dataKey).toString('base64') }),
  unwrap: async (wrapped, context) => {
    const known = UnsealedSchema.safeParse(wrapped);
    if (!known.success) throw new ObjectDamagedError(context.purpose, 'its data key is not one that lies in clear');
    const dataKey = Buffer.from(known.data.dataKey, 'base64');
    if (dataKey.length !== KEY_BYTES) throw new ObjectDamagedError(context.purpose, `its data key has ${dataKey.length} bytes`);
    return dataKey;
  },
};
