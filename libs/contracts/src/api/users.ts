import { z } from 'zod';
import { ProjectRoleSchema } from '../vocabulary.js';

const given = <Schema extends z.ZodType>(schema: Schema) => schema.nullish();
const readOnly = given(z.unknown());

const roles = z.array(ProjectRoleSchema).min(1);

/** Body of `POST /groups/{groupId}/users`: a member by mail address. */
export const MemberAdditionSchema = z.strictObject({
  username: z.email().max(254),
  roles,
});
export type MemberAddition = z.infer<typeof MemberAdditionSchema>;

/** Body of `PATCH /groups/{groupId}/users/{userId}`. */
export const MemberChangeSchema = z.strictObject({
  roles,
  username: readOnly,
  id: readOnly,
  orgMembershipStatus: readOnly,
});
export type MemberChange = z.infer<typeof MemberChangeSchema>;
