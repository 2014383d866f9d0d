import { z } from 'zod';
import { ClientIdSchema, ObjectIdSchema, TimestampSchema } from '../ids.js';
import { topics } from '../topics.js';
import { defineCommand } from './command.js';

/** `typ` of the JWS header. It keeps a signature that was made for something else from being a command. */
export const RESTORE_COMMAND_JWS_TYPE = 'atrest-restore-command+jws';

/** Signatures that are accepted; never `none`, never one made with a shared secret. */
export const COMMAND_ALGORITHMS = ['ES256', 'EdDSA'] as const;

/** A command is carried out within 15 minutes or not at all: one that waited longer may no longer be wanted, and a restore replaces data. */
export const COMMAND_MAX_AGE_MS = 15 * 60_000;
/** How far ahead the sender's clock may be. */
export const COMMAND_MAX_LEAD_MS = 2 * 60_000;

/** `kid` of a command's JWS: who signs, and with which of its keys. */
export function commandKid(clientId: string, thumbprint: string): string {
  return `${clientId}#${thumbprint}`;
}

/** A cluster as people name it. */
export const ClusterReferenceSchema = z.strictObject({
  projectId: ObjectIdSchema,
  clusterName: z.string().regex(/^[a-zA-Z0-9][a-zA-Z0-9-]{0,63}$/, 'must be letters, digits and dashes, at most 64'),
});
export type ClusterReference = z.infer<typeof ClusterReferenceSchema>;

/** 2^32 - 1: the largest second and increment that a MongoDB timestamp holds. */
const uint32 = z.int().min(1).max(0xffff_ffff);

/** What to restore (Atlas's names): a snapshot, or a moment given as a second or as an entry of the oplog. */
export const RestoreDeliverySchema = z.union([
  z.strictObject({ deliveryType: z.literal('automated'), snapshotId: ObjectIdSchema }),
  z.strictObject({ deliveryType: z.literal('pointInTime'), pointInTimeUTCSeconds: uint32 }),
  z.strictObject({ deliveryType: z.literal('pointInTime'), oplogTs: uint32, oplogInc: uint32 }),
]);
export type RestoreDelivery = z.infer<typeof RestoreDeliverySchema>;

/** The payload that the sender signs. */
export const RestoreCommandSchema = z.strictObject({
  /** The sender's name for this command; answers repeat it. */
  commandId: z.uuid(),
  /** Two commands of one service account with the same key have one effect. */
  idempotencyKey: z.string().regex(/^[!-~]{1,128}$/, 'must be 1 to 128 visible ASCII characters'),
  issuedAt: TimestampSchema,
  actingServiceAccount: ClientIdSchema,
  source: ClusterReferenceSchema,
  target: ClusterReferenceSchema,
  delivery: RestoreDeliverySchema,
});
export type RestoreCommand = z.infer<typeof RestoreCommandSchema>;

/** 16 KiB: twenty times a real one. */
const MAX_JWS_CHARACTERS = 16_384;

export const RestoreCommandMessageSchema = z.strictObject({
  /** Compact JWS (RFC 7515) whose payload is the command. */
  jws: z
    .string()
    .max(MAX_JWS_CHARACTERS)
    .regex(/^[\w-]+\.[\w-]+\.[\w-]+$/, 'must be a compact JWS'),
});
export type RestoreCommandMessage = z.infer<typeof RestoreCommandMessageSchema>;

export const restoreCommandRequested = defineCommand({
  type: 'io.atrest.restore-command.requested.v1',
  topic: topics.restoreCommands,
  schema: RestoreCommandMessageSchema,
  payload: RestoreCommandSchema,
  description: 'Asks for a restore into a cluster, in the name of a service account whose key signs the command.',
});
