import { z } from 'zod';
import { ObjectIdSchema } from '../ids.js';

const given = <Schema extends z.ZodType>(schema: Schema) => schema.nullish();
const readOnly = given(z.unknown());

/**
 * A project's name. The official description allows no blank, yet real names have blanks; the rest of its rule stands: letters and digits of any
 * script and a few signs, 64 characters at most.
 */
export const ProjectNameSchema = z
  .string()
  .regex(/^[\p{L}\p{N}\-_.(),:&@+' ]{1,64}$/u, "must be 1 to 64 letters, digits, blanks or -_.(),:&@+'");

export const ResourceTagSchema = z.strictObject({ key: z.string().min(1).max(255), value: z.string().min(1).max(255) });
export type ResourceTag = z.infer<typeof ResourceTagSchema>;

/** Body of `POST /groups`. The name's rule has an error code of its own (INVALID_GROUP_NAME), so it is checked by the service. */
export const GroupCreationSchema = z.strictObject({
  name: z.string(),
  orgId: ObjectIdSchema,
  tags: given(z.array(ResourceTagSchema)),
  regionUsageRestrictions: given(z.enum(['COMMERCIAL_FEDRAMP_REGIONS_ONLY', 'GOV_REGIONS_ONLY'])),
  withDefaultAlertsSettings: given(z.boolean()),
  id: readOnly,
  clusterCount: readOnly,
  created: readOnly,
  links: readOnly,
});
export type GroupCreation = z.infer<typeof GroupCreationSchema>;

/** Body of `PATCH /groups/{groupId}`. */
export const GroupChangeSchema = z.strictObject({
  name: given(z.string()),
  tags: given(z.array(ResourceTagSchema)),
  withDefaultAlertsSettings: given(z.boolean()),
  regionUsageRestrictions: readOnly,
  id: readOnly,
  orgId: readOnly,
  clusterCount: readOnly,
  created: readOnly,
  links: readOnly,
});
export type GroupChange = z.infer<typeof GroupChangeSchema>;
