import { z } from 'zod';
import { defineEvent } from '../event.js';
import { ClientIdSchema, ObjectIdSchema, TimestampSchema } from '../ids.js';
import { topics } from '../topics.js';
import { PublicJwkSchema } from '../public-jwk.js';
import { RoleSchema } from '../vocabulary.js';

/** A role in one organisation or one project. */
export const RoleGrantSchema = z.object({
  role: RoleSchema,
  orgId: ObjectIdSchema.nullable(),
  projectId: ObjectIdSchema.nullable(),
});
export type RoleGrant = z.infer<typeof RoleGrantSchema>;

/** A public key with which a service account signs commands (not access tokens). */
export const CommandSigningKeySchema = z.object({
  /** `<client id>#<RFC 7638 thumbprint>`: the `kid` of what it signs. */
  kid: z.string().min(1),
  publicJwk: PublicJwkSchema,
});
export type CommandSigningKey = z.infer<typeof CommandSigningKeySchema>;

export const ServiceAccountStateSchema = z.object({
  clientId: ClientIdSchema,
  orgId: ObjectIdSchema,
  name: z.string(),
  grants: z.array(RoleGrantSchema),
  /** Events from before there were any have none. */
  signingKeys: z.array(CommandSigningKeySchema).default([]),
  deletedAt: TimestampSchema.nullable(),
  revision: z.int().nonnegative(),
});
export type ServiceAccountState = z.infer<typeof ServiceAccountStateSchema>;

export const serviceAccountChanged = defineEvent<ServiceAccountState>({
  type: 'io.atrest.service-account.changed.v1',
  topic: topics.access,
  schema: ServiceAccountStateSchema,
  description: 'A service account was created, its roles or its keys for commands changed, or it was deleted.',
  subjectOf: (account) => account.clientId,
});

/** The public half of a key that signs access tokens (ES256). */
export const SigningKeyStateSchema = z.object({
  kid: z.string().min(1),
  publicJwk: z.record(z.string(), z.string()),
  /** New tokens are signed with it until then. */
  signsUntil: TimestampSchema,
  /** Tokens signed by it are accepted until then. */
  acceptedUntil: TimestampSchema,
});
export type SigningKeyState = z.infer<typeof SigningKeyStateSchema>;

export const signingKeyCreated = defineEvent<SigningKeyState>({
  type: 'io.atrest.signing-key.created.v1',
  topic: topics.access,
  schema: SigningKeyStateSchema,
  description: 'A new key signs access tokens.',
  subjectOf: (key) => key.kid,
});

export const AccessTokenRevocationSchema = z.object({
  tokenId: z.string().min(1),
  expiresAt: TimestampSchema,
});
export type AccessTokenRevocation = z.infer<typeof AccessTokenRevocationSchema>;

export const accessTokenRevoked = defineEvent<AccessTokenRevocation>({
  type: 'io.atrest.access-token.revoked.v1',
  topic: topics.access,
  schema: AccessTokenRevocationSchema,
  description: 'An access token was revoked before it expired.',
  subjectOf: (revocation) => revocation.tokenId,
});
