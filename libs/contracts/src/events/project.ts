import { z } from 'zod';
import { defineEvent } from '../event.js';
import { ObjectIdSchema, TimestampSchema } from '../ids.js';
import { topics } from '../topics.js';
import { ProjectRoleSchema } from '../vocabulary.js';

export const ProjectMemberSchema = z.object({
  id: ObjectIdSchema,
  email: z.email(),
  roles: z.array(ProjectRoleSchema),
});
export type ProjectMember = z.infer<typeof ProjectMemberSchema>;

/** A project as other services may remember it. */
export const ProjectStateSchema = z.object({
  id: ObjectIdSchema,
  orgId: ObjectIdSchema,
  name: z.string(),
  members: z.array(ProjectMemberSchema),
  createdAt: TimestampSchema,
  deletedAt: TimestampSchema.nullable(),
  revision: z.int().nonnegative(),
});
export type ProjectState = z.infer<typeof ProjectStateSchema>;

const event = (name: string, description: string) =>
  defineEvent<ProjectState>({
    type: `io.atrest.project.${name}.v1`,
    topic: topics.projects,
    schema: ProjectStateSchema,
    description,
    subjectOf: (project) => project.id,
  });

export const projectCreated = event('created', 'A project was created.');
export const projectUpdated = event('updated', "A project's name or its members changed.");
export const projectDeleted = event('deleted', 'A project was deleted.');
