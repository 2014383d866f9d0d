import { z } from 'zod';
import { ObjectIdSchema } from '../ids.js';

const PROVIDERS = ['AWS', 'AZURE', 'GCP'] as const;
const moment = z.string();
const given = <Schema extends z.ZodType>(schema: Schema) => schema.nullish();

/** Body of `POST /groups/{groupId}/cloudProviderAccess`. */
export const NewAccessRoleSchema = z.strictObject({
  providerName: z.enum(PROVIDERS),
  /** Azure only. */
  atlasAzureAppId: given(z.uuid()),
  servicePrincipalId: given(z.uuid()),
  tenantId: given(z.uuid()),
});
export type NewAccessRole = z.infer<typeof NewAccessRoleSchema>;

/** Body of `PATCH /groups/{groupId}/cloudProviderAccess/{roleId}`. */
export const AccessRoleAuthorisationSchema = z.strictObject({
  providerName: z.enum(PROVIDERS),
  iamAssumedRoleArn: given(z.string().min(20).max(2048)),
  /** Clients send back what they read. */
  roleId: given(z.string()),
  atlasAzureAppId: given(z.string()),
  servicePrincipalId: given(z.string()),
  tenantId: given(z.string()),
});
export type AccessRoleAuthorisation = z.infer<typeof AccessRoleAuthorisationSchema>;

const FeatureUsageSchema = z.object({ featureType: z.literal('ENCRYPTION_AT_REST'), featureId: z.object({ groupId: ObjectIdSchema }) });

/** A role in AWS. Whoever may use it must name the external id. */
export const AwsAccessRoleSchema = z.object({
  providerName: z.literal('AWS'),
  roleId: ObjectIdSchema,
  atlasAWSAccountArn: z.string(),
  atlasAssumedRoleExternalId: z.string(),
  iamAssumedRoleArn: z.string().nullable(),
  authorizedDate: moment.nullable(),
  createdDate: moment,
  featureUsages: z.array(FeatureUsageSchema),
});

/** A service principal in Azure. Its id is `_id`. */
export const AzureAccessRoleSchema = z.object({
  providerName: z.literal('AZURE'),
  _id: ObjectIdSchema,
  atlasAzureAppId: z.string(),
  servicePrincipalId: z.string(),
  tenantId: z.string(),
  createdDate: moment,
  lastUpdatedDate: moment,
  featureUsages: z.array(FeatureUsageSchema),
});

/** A service account in Google Cloud. */
export const GcpAccessRoleSchema = z.object({
  providerName: z.literal('GCP'),
  roleId: ObjectIdSchema,
  gcpServiceAccountForAtlas: z.string(),
  status: z.literal('COMPLETE'),
  createdDate: moment,
  featureUsages: z.array(FeatureUsageSchema),
});

export const AccessRoleSchema = z.discriminatedUnion('providerName', [AwsAccessRoleSchema, AzureAccessRoleSchema, GcpAccessRoleSchema]);
export type AccessRoleView = z.infer<typeof AccessRoleSchema>;

/** Answer to `GET /groups/{groupId}/cloudProviderAccess`: three lists, without the envelope of other lists. */
export const AccessRolesSchema = z.object({
  awsIamRoles: z.array(AwsAccessRoleSchema),
  azureServicePrincipals: z.array(AzureAccessRoleSchema),
  gcpServiceAccounts: z.array(GcpAccessRoleSchema),
});
export type AccessRolesView = z.infer<typeof AccessRolesSchema>;
