import { z } from 'zod';
import { EvidenceSchema, HoldSchema } from '../events/key-configuration.js';
import { ObjectIdSchema } from '../ids.js';
import { EnforcementModeSchema, KeyProviderNameSchema, ValidityStateSchema } from '../vocabulary.js';

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

const AZURE_ENVIRONMENTS = ['AZURE', 'AZURE_CHINA', 'AZURE_US_GOVERNMENT'] as const;
/** `azureKeyVault.azureEnvironment`. */
export const AzureEnvironmentSchema = z.enum(AZURE_ENVIRONMENTS);
export type AzureEnvironment = z.infer<typeof AzureEnvironmentSchema>;

/** `azureKeyVault` in a PATCH. What is not given stays as it is. */
export const AzureKeyVaultChangeSchema = z.strictObject({
  enabled: given(z.boolean()),
  azureEnvironment: given(AzureEnvironmentSchema),
  clientID: given(z.string().min(1).max(64)),
  tenantID: given(z.string().min(1).max(64)),
  subscriptionID: given(z.string().min(1).max(64)),
  resourceGroupName: given(z.string().min(1).max(90)),
  keyVaultName: given(z.string().min(1).max(64)),
  keyIdentifier: given(z.string().min(1).max(2048)),
  secret: given(z.string().min(1).max(1024)),
  roleId: given(ObjectIdSchema),
  requirePrivateNetworking: given(z.boolean()),
  valid: readOnly,
});
export type AzureKeyVaultChange = z.infer<typeof AzureKeyVaultChangeSchema>;

/** `googleCloudKms` in a PATCH. What is not given stays as it is. */
export const GoogleCloudKmsChangeSchema = z.strictObject({
  enabled: given(z.boolean()),
  keyVersionResourceID: given(z.string().min(1).max(2048)),
  /** The service account's JSON document as one string; its private key makes it some 2,300 characters long. */
  serviceAccountKey: given(z.string().min(1).max(16_384)),
  roleId: given(ObjectIdSchema),
  valid: readOnly,
});
export type GoogleCloudKmsChange = z.infer<typeof GoogleCloudKmsChangeSchema>;

/** Extension: `kmip` in a PATCH, a key in an appliance that speaks KMIP. What is not given stays as it is. */
export const KmipChangeSchema = z.strictObject({
  enabled: given(z.boolean()),
  /** Names or addresses, in the order in which they are tried. */
  hosts: given(z.array(z.string().min(1).max(253)).min(1).max(8)),
  port: given(z.int().min(1).max(65535)),
  /** PEM: who may have signed the appliance's certificate. */
  caCertificate: given(z.string().min(1).max(65_536)),
  /** PEM: our certificate with its chain, and its private key. Never answered. */
  clientCertificate: given(z.string().min(1).max(65_536)),
  /** The unique identifier of the key in the appliance. */
  keyIdentifier: given(z.string().min(1).max(1024)),
  valid: readOnly,
});
export type KmipChange = z.infer<typeof KmipChangeSchema>;

/** Body of `PATCH /groups/{groupId}/encryptionAtRest`. */
export const EncryptionAtRestChangeSchema = z.strictObject({
  awsKms: given(AwsKmsChangeSchema),
  azureKeyVault: given(AzureKeyVaultChangeSchema),
  googleCloudKms: given(GoogleCloudKmsChangeSchema),
  kmip: given(KmipChangeSchema),
  enabledForSearchNodes: given(z.boolean()),
});
export type EncryptionAtRestChange = z.infer<typeof EncryptionAtRestChangeSchema>;

/** Answer to GET and PATCH: always all providers, Atlas's three and ours; one that is not configured has its fields null. Never a secret. */
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
  kmip: z.object({
    enabled: z.boolean(),
    hosts: z.array(z.string()).nullable(),
    port: z.int().nullable(),
    caCertificate: z.string().nullable(),
    keyIdentifier: z.string().nullable(),
    valid: z.boolean(),
  }),
  enabledForSearchNodes: z.boolean(),
});
export type EncryptionAtRest = z.infer<typeof EncryptionAtRestSchema>;

/** Moments in the HTTP API have whole seconds. */
const moment = z.string();

/**
 * What a second key may do at present: it waits while the first can be asked, stands in while the first is unreachable, and is barred while the first is
 * not VALID (suspected, held or gone: the second never outlives a revocation), or while it is itself not configured, not VALID or unreachable.
 */
export const SecondKeyRoleSchema = z.enum(['WAITS', 'STANDS_IN', 'BARRED_BY_FIRST', 'NOT_CONFIGURED', 'NOT_USABLE']);
export type SecondKeyRole = z.infer<typeof SecondKeyRoleSchema>;

/** Extension: what is known about one provider's key. Answer to `GET …/encryptionAtRest/{provider}/status`. */
export const KeyValidityStatusSchema = z.object({
  id: ObjectIdSchema,
  provider: KeyProviderNameSchema,
  state: ValidityStateSchema,
  /** False only in state INVALID: a suspicion stops nothing. */
  valid: z.boolean(),
  since: moment,
  mode: EnforcementModeSchema,
  /** The key as the project named it. */
  keyId: z.string(),
  /** The key that proves itself, as the provider names it. */
  resolvedKeyId: z.string(),
  /** Definitive verdicts that count so far, and how many make the configuration INVALID. */
  confirmations: z.int().nonnegative(),
  confirmationsNeeded: z.int().positive(),
  /** What led to the present state, oldest first: independent observations on new clients, with the provider's own error and request id. */
  evidence: z.array(EvidenceSchema),
  lastEvidence: EvidenceSchema.nullable(),
  lastProvenAt: moment.nullable(),
  unreachableSince: moment.nullable(),
  /** The second key that the validity policy names for this provider; null: none. */
  secondKey: z
    .object({
      provider: KeyProviderNameSchema,
      /** The key as the project named it; null when the provider is not configured. */
      keyId: z.string().nullable(),
      role: SecondKeyRoleSchema,
    })
    .nullable(),
  /** Only while HELD. */
  hold: HoldSchema.nullable(),
  nextCheckAt: moment,
});
export type KeyValidityStatus = z.infer<typeof KeyValidityStatusSchema>;

/** Extension: answer to `POST …/encryptionAtRest/{provider}:check` ('try again'): the verdict of the check that it ran, and what followed. */
export const KeyCheckAnswerSchema = KeyValidityStatusSchema.extend({
  verdict: EvidenceSchema.shape.verdict,
  reason: EvidenceSchema.shape.reason,
});
export type KeyCheckAnswer = z.infer<typeof KeyCheckAnswerSchema>;

/** Extension: answer to `GET …/encryptionAtRest/{provider}/history`, newest first. Kept for 90 days. */
export const KeyHistorySchema = z.object({
  /** Each change of the configuration's state, with the observations that led to it. */
  changes: z.array(
    z.object({
      at: moment,
      from: ValidityStateSchema,
      to: ValidityStateSchema,
      mode: EnforcementModeSchema,
      evidence: z.array(EvidenceSchema),
    }),
  ),
  /** What checks of the key gave: one entry where the result changed, and one an hour while it stays the same. */
  samples: z.array(
    EvidenceSchema.pick({ verdict: true, reason: true, errorName: true, requestId: true, observer: true }).extend({
      at: moment,
      /** Checks that the entry stands for: itself and those before it that were no entry of their own. */
      checks: z.int().positive(),
    }),
  ),
});
export type KeyHistory = z.infer<typeof KeyHistorySchema>;

const seconds = given(z.int().nonnegative());

/** Extension: for a provider another one, e.g. `{"AWS": "GCP"}`. */
export const SecondProvidersSchema = z.partialRecord(KeyProviderNameSchema, KeyProviderNameSchema);
export type SecondProviders = z.infer<typeof SecondProvidersSchema>;

/** Extension: body of `PATCH …/encryptionAtRest/validityPolicy`. What is not given stays; a null number follows the installation again. */
export const ValidityPolicyChangeSchema = z.strictObject({
  /** `observe` stops nothing and reports what would have been stopped. */
  mode: EnforcementModeSchema.optional(),
  /** A held shutdown that nobody decides on within the limit is carried out; otherwise it stays held. */
  failClosed: z.boolean().optional(),
  /** Days after which somebody is reminded that the customer key was not rotated; null: nobody. */
  rotationReminderDays: z.int().min(1).max(3_650).nullish(),
  /** For a provider the one whose key may unwrap while the first is unreachable, never after a revocation; replaces all; null: none. */
  secondProviders: SecondProvidersSchema.nullish(),
  intervalSeconds: seconds,
  confirmations: seconds,
  confirmationWindowSeconds: seconds,
  unreachableOwnersSeconds: seconds,
  unreachableOperatorsSeconds: seconds,
  unreachableOrganisationSeconds: seconds,
  holdLimitSeconds: seconds,
});
export type ValidityPolicyChange = z.infer<typeof ValidityPolicyChangeSchema>;

/** Extension: the validity policy that applies to a project. */
export const ValidityPolicySchema = z.object({
  mode: EnforcementModeSchema,
  failClosed: z.boolean(),
  rotationReminderDays: z.int().positive().nullable(),
  secondProviders: SecondProvidersSchema,
  /** Time between two checks of a key. A key that several projects share is checked as often as the most careful of them wants. */
  intervalSeconds: z.number(),
  /** Definitive verdicts, on new clients and spread over the window, that make a configuration INVALID. */
  confirmations: z.int(),
  confirmationWindowSeconds: z.number(),
  /** How long a KMS may be unreachable before each alert level hears of it. */
  unreachableOwnersSeconds: z.number(),
  unreachableOperatorsSeconds: z.number(),
  unreachableOrganisationSeconds: z.number(),
  /** Time to decide on a held shutdown. */
  holdLimitSeconds: z.number(),
  /** The settings that the project decided for itself; the others follow the installation. */
  ownSettings: z.array(z.string()),
});
export type ValidityPolicyView = z.infer<typeof ValidityPolicySchema>;

/** Extension: what the mode `observe` would have stopped, newest first. Kept for 90 days. */
export const ObservationReportOfProjectSchema = z.object({
  results: z.array(
    z.object({
      provider: KeyProviderNameSchema,
      /** When the clusters would have been stopped. */
      wouldHaveStoppedAt: moment,
      /** When they would have been started again; null while the key is not usable. */
      wouldHaveStartedAt: moment.nullable(),
      clusters: z.array(z.string()),
      evidence: z.array(EvidenceSchema),
    }),
  ),
});
export type ObservationReportOfProject = z.infer<typeof ObservationReportOfProjectSchema>;

/** Extension: shutdowns of an organisation that the breaker holds. */
export const HeldShutdownsSchema = z.object({
  results: z.array(
    z.object({
      projectId: ObjectIdSchema,
      provider: KeyProviderNameSchema,
      keyId: z.string(),
      hold: HoldSchema,
      evidence: z.array(EvidenceSchema),
    }),
  ),
});
export type HeldShutdowns = z.infer<typeof HeldShutdownsSchema>;

/** Extension: body of `PATCH …/heldShutdowns`; without projects all of the organisation are meant. */
export const HeldShutdownsDecisionSchema = z.strictObject({
  decision: z.enum(['RELEASE', 'CANCEL']),
  projectIds: given(z.array(ObjectIdSchema).min(1).max(10_000)),
});
export type HeldShutdownsDecision = z.infer<typeof HeldShutdownsDecisionSchema>;

/** Extension: how many held shutdowns were decided on. */
export const HeldShutdownsDecidedSchema = z.object({ decided: z.int().nonnegative() });
export type HeldShutdownsDecided = z.infer<typeof HeldShutdownsDecidedSchema>;
