import { z } from 'zod';
import { PRIVATE_JWK_PARAMETERS, PublicJwkSchema } from '../public-jwk.js';
import { ProjectRoleSchema } from '../vocabulary.js';

const given = <Schema extends z.ZodType>(schema: Schema) => schema.nullish();

/**
 * Roles of a service account in its organisation. Atlas knows seven; Atrest has rights for one of them. ORG_MEMBER carries none of its own
 * and is what an account with roles in projects only has.
 */
export const ORGANISATION_ROLES = ['ORG_OWNER', 'ORG_MEMBER'] as const;
export const OrganisationRoleSchema = z.enum(ORGANISATION_ROLES);
export type OrganisationRole = z.infer<typeof OrganisationRoleSchema>;

const rule = "must be letters, digits, blanks or -_.,'";
const name = z
  .string()
  .min(1)
  .max(64)
  .regex(/^[\p{L}\p{N}\-_.,' ]*$/u, rule);
const description = z
  .string()
  .min(1)
  .max(250)
  .regex(/^[\p{L}\p{N}\-_.,' ]*$/u, rule);

/** Hours until a secret expires: at most a year, because a secret without an end is never replaced. */
const secretExpiresAfterHours = z.int().min(1).max(8760);

/** Body of `POST …/serviceAccounts/{clientId}/secrets`. */
export const SecretCreationSchema = z.strictObject({ secretExpiresAfterHours });
export type SecretCreation = z.infer<typeof SecretCreationSchema>;

/** Body of `POST /orgs/{orgId}/serviceAccounts`. */
export const OrganisationAccountCreationSchema = z.strictObject({
  name,
  description,
  roles: z.array(OrganisationRoleSchema).min(1).max(20),
  secretExpiresAfterHours,
});
export type OrganisationAccountCreation = z.infer<typeof OrganisationAccountCreationSchema>;

/** Body of `PATCH /orgs/{orgId}/serviceAccounts/{clientId}`. What is not given stays as it is. */
export const OrganisationAccountChangeSchema = z.strictObject({
  name: given(name),
  description: given(description),
  roles: given(z.array(OrganisationRoleSchema).max(20)),
});
export type OrganisationAccountChange = z.infer<typeof OrganisationAccountChangeSchema>;

/** Body of `POST /groups/{groupId}/serviceAccounts`. */
export const ProjectAccountCreationSchema = z.strictObject({
  name,
  description,
  roles: z.array(ProjectRoleSchema).min(1).max(20),
  secretExpiresAfterHours,
});
export type ProjectAccountCreation = z.infer<typeof ProjectAccountCreationSchema>;

/** Body of `PATCH /groups/{groupId}/serviceAccounts/{clientId}`. An empty list of roles takes the account out of the project. */
export const ProjectAccountChangeSchema = z.strictObject({
  name: given(name),
  description: given(description),
  roles: given(z.array(ProjectRoleSchema).max(20)),
});
export type ProjectAccountChange = z.infer<typeof ProjectAccountChangeSchema>;

/** Body of `POST /groups/{groupId}/serviceAccounts/{clientId}:invite`. */
export const ProjectInvitationSchema = z.strictObject({ roles: z.array(ProjectRoleSchema).min(1).max(20) });
export type ProjectInvitation = z.infer<typeof ProjectInvitationSchema>;

/** Told to whoever sends a private key; it says nothing of the key. */
const PRIVATE_KEY_SENT =
  'publicJwk holds a private key. Nothing of it was kept. Replace that key, because it has left its owner, and send the public half only.';

/** Body of `POST …/serviceAccounts/{clientId}/signingKeys`. Members that do not belong to the key itself (`kid`, `use`, `alg` …) are ignored. */
export const SigningKeyRegistrationSchema = z.strictObject({
  publicJwk: z
    .record(z.string(), z.unknown())
    .refine((jwk) => PRIVATE_JWK_PARAMETERS.every((parameter) => !Object.hasOwn(jwk, parameter)), {
      message: PRIVATE_KEY_SENT,
      params: { errorCode: 'INVALID_ATTRIBUTE' },
    })
    .pipe(PublicJwkSchema)
    .meta({ description: 'Public key as a JWK: EC on P-256 (signs ES256), or OKP on Ed25519 (signs EdDSA).' }),
});
export type SigningKeyRegistration = z.infer<typeof SigningKeyRegistrationSchema>;

/** A key for commands as the API shows it. */
export const SigningKeyViewSchema = z.object({
  /** Thumbprint of the key (RFC 7638, SHA-256). */
  id: z.string(),
  /** What the header of a signed command names. */
  kid: z.string(),
  publicJwk: PublicJwkSchema,
  createdAt: z.string(),
});
export type SigningKeyView = z.infer<typeof SigningKeyViewSchema>;

/** A secret of a service account as the API shows it. */
export const ServiceAccountSecretViewSchema = z.object({
  id: z.string(),
  createdAt: z.string(),
  expiresAt: z.string(),
  lastUsedAt: z.string().optional(),
  maskedSecretValue: z.string().optional(),
  /** Only in the answer that creates it. */
  secret: z.string().optional(),
});

/** A service account as the API shows it. */
export const ServiceAccountViewSchema = z.object({
  clientId: z.string(),
  createdAt: z.string(),
  name: z.string(),
  description: z.string(),
  roles: z.array(z.string()),
  secrets: z.array(ServiceAccountSecretViewSchema),
});
export type ServiceAccountView = z.infer<typeof ServiceAccountViewSchema>;
export type ServiceAccountSecretView = z.infer<typeof ServiceAccountSecretViewSchema>;
