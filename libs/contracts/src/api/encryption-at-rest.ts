import { z } from 'zod';
import { EvidenceSchema } from '../events/key-configuration.js';
import { ObjectIdSchema } from '../ids.js';
import { EnforcementModeSchema, ValidityStateSchema } from '../vocabulary.js';

/** `awsKms.region`, as the Atlas Admin API enumerates it. No key can live in `GLOBAL`. */
export const AWS_KMS_REGIONS = [
  'US_GOV_WEST_1',
  'US_GOV_EAST_1',
  'US_EAST_1',
  'US_EAST_2',
  'US_WEST_1',
  'US_WEST_2',
  'CA_CENTRAL_1',
  'EU_NORTH_1',
  'EU_WEST_1',
  'EU_WEST_2',
  'EU_WEST_3',
  'EU_CENTRAL_1',
  'EU_CENTRAL_2',
  'AP_EAST_1',
  'AP_EAST_2',
  'AP_NORTHEAST_1',
  'AP_NORTHEAST_2',
  'AP_NORTHEAST_3',
  'AP_SOUTHEAST_1',
  'AP_SOUTHEAST_2',
  'AP_SOUTHEAST_3',
  'AP_SOUTHEAST_4',
  'AP_SOUTHEAST_5',
  'AP_SOUTHEAST_6',
  'AP_SOUTHEAST_7',
  'AP_SOUTH_1',
  'AP_SOUTH_2',
  'SA_EAST_1',
  'CN_NORTH_1',
  'CN_NORTHWEST_1',
  'ME_SOUTH_1',
  'ME_CENTRAL_1',
  'AF_SOUTH_1',
  'EU_SOUTH_1',
  'EU_SOUTH_2',
  'IL_CENTRAL_1',
  'CA_WEST_1',
  'MX_CENTRAL_1',
  'GLOBAL',
] as const;

// Terraform sends back the whole object it read, so every field may be null and read-only fields come in: null means 'not given'.
const given = <Schema extends z.ZodType>(schema: Schema) => schema.nullish();
const readOnly = given(z.unknown());

/** `awsKms` in a PATCH. What is not given stays as it is. */
export const AwsKmsChangeSchema = z.strictObject({
  enabled: given(z.boolean()),
  customerMasterKeyID: given(z.string().min(1).max(2048)),
  region: given(z.enum(AWS_KMS_REGIONS)),
  accessKeyID: given(z.string().min(16).max(128)),
  secretAccessKey: given(z.string().min(1).max(1024)),
  roleId: given(ObjectIdSchema),
  requirePrivateNetworking: given(z.boolean()),
  valid: readOnly,
});
export type AwsKmsChange = z.infer<typeof AwsKmsChangeSchema>;

const text = given(z.string());

/** `azureKeyVault` in a PATCH. */
export const AzureKeyVaultChangeSchema = z.strictObject({
  enabled: given(z.boolean()),
  azureEnvironment: text,
  clientID: text,
  tenantID: text,
  subscriptionID: text,
  resourceGroupName: text,
  keyVaultName: text,
  keyIdentifier: text,
  secret: text,
  roleId: text,
  requirePrivateNetworking: given(z.boolean()),
  valid: readOnly,
});

/** `googleCloudKms` in a PATCH. */
export const GoogleCloudKmsChangeSchema = z.strictObject({
  enabled: given(z.boolean()),
  keyVersionResourceID: text,
  serviceAccountKey: text,
  roleId: text,
  valid: readOnly,
});

/** Body of `PATCH /groups/{groupId}/encryptionAtRest`. */
export const EncryptionAtRestChangeSchema = z.strictObject({
  awsKms: given(AwsKmsChangeSchema),
  azureKeyVault: given(AzureKeyVaultChangeSchema),
  googleCloudKms: given(GoogleCloudKmsChangeSchema),
  enabledForSearchNodes: given(z.boolean()),
});
export type EncryptionAtRestChange = z.infer<typeof EncryptionAtRestChangeSchema>;

/** Answer to GET and PATCH: always all three providers; one that is not configured has its fields null. Never a secret. */
export const EncryptionAtRestSchema = z.object({
  awsKms: z.object({
    enabled: z.boolean(),
    customerMasterKeyID: z.string().nullable(),
    region: z.enum(AWS_KMS_REGIONS).nullable(),
    accessKeyID: z.string().nullable(),
    roleId: ObjectIdSchema.nullable(),
    requirePrivateNetworking: z.boolean().nullable(),
    valid: z.boolean(),
  }),
  azureKeyVault: z.object({
    enabled: z.boolean(),
    azureEnvironment: z.string().nullable(),
    clientID: z.string().nullable(),
    tenantID: z.string().nullable(),
    subscriptionID: z.string().nullable(),
    resourceGroupName: z.string().nullable(),
    keyVaultName: z.string().nullable(),
    keyIdentifier: z.string().nullable(),
    roleId: ObjectIdSchema.nullable(),
    requirePrivateNetworking: z.boolean().nullable(),
    valid: z.boolean(),
  }),
  googleCloudKms: z.object({
    enabled: z.boolean(),
    keyVersionResourceID: z.string().nullable(),
    roleId: ObjectIdSchema.nullable(),
    valid: z.boolean(),
  }),
  enabledForSearchNodes: z.boolean(),
});
export type EncryptionAtRest = z.infer<typeof EncryptionAtRestSchema>;

/** Moments in the HTTP API have whole seconds. */
const moment = z.string();

/** Extension: what is known about one provider's key. Answer to `GET …/encryptionAtRest/awsKms/status`. */
export const KeyValidityStatusSchema = z.object({
  id: ObjectIdSchema,
  state: ValidityStateSchema,
  /** False only in state INVALID: a suspicion stops nothing. */
  valid: z.boolean(),
  since: moment,
  mode: EnforcementModeSchema,
  customerMasterKeyID: z.string(),
  /** The key that proves itself, as the provider names it. */
  resolvedKeyId: z.string(),
  /** Definitive verdicts that count so far, and how many make the configuration INVALID. */
  confirmations: z.int().nonnegative(),
  confirmationsNeeded: z.int().positive(),
  /** What led to the present state, oldest first. */
  evidence: z.array(EvidenceSchema),
  lastEvidence: EvidenceSchema.nullable(),
  lastProvenAt: moment.nullable(),
  unreachableSince: moment.nullable(),
  nextCheckAt: moment,
});
export type KeyValidityStatus = z.infer<typeof KeyValidityStatusSchema>;

/** Extension: answer to `POST …/encryptionAtRest/awsKms:check` ('try again'): the verdict of the check that it ran, and what followed. */
export const KeyCheckAnswerSchema = KeyValidityStatusSchema.extend({
  verdict: EvidenceSchema.shape.verdict,
  reason: EvidenceSchema.shape.reason,
});
export type KeyCheckAnswer = z.infer<typeof KeyCheckAnswerSchema>;
