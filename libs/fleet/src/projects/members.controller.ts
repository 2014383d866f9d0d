import { MemberAdditionSchema, MemberChangeSchema, type MemberAddition, type MemberChange } from '@atrest/contracts';
import { AtlasRoute, pageOf, pageQuery, PathParam, ValidBody, ValidQuery, Version, type Page } from '@atrest/platform-http';
import { Controller, Inject } from '@nestjs/common';
import { z } from 'zod';
import { apiTime } from '../clusters/settings/render-common.js';
import { PROJECTS } from '../tokens.js';
import { Projects } from './projects.js';
import type { StoredMember } from './projects.repository.js';

const versions = ['2023-01-01', '2025-02-19'];
const readers = { project: ['GROUP_READ_ONLY'] } as const;
const owners = { project: ['GROUP_OWNER'] } as const;

const MemberQuerySchema = z.object({ ...pageQuery, username: z.string().optional() });
type MemberQuery = z.infer<typeof MemberQuerySchema>;

/** A member is a mail address with roles. What Atlas knows beside it (names, telephone) nobody was asked for, so required texts are empty. */
function userView(projectId: string, member: StoredMember, version: string): object {
  const shared = { id: member.id, username: member.email, createdAt: apiTime(member.createdAt), firstName: '', lastName: '' };
  return version < '2025-02-19'
    ? {
        ...shared,
        emailAddress: member.email,
        roles: member.roles.map((roleName) => ({ groupId: projectId, roleName })),
        teamIds: [],
        links: [],
      }
    : { ...shared, orgMembershipStatus: 'ACTIVE', roles: member.roles };
}

/** `/groups/{groupId}/users`: who is told and who answers for a project. */
@Controller()
export class MembersController {
  constructor(@Inject(PROJECTS) private readonly projects: Projects) {}

  @AtlasRoute({
    method: 'GET',
    path: '/groups/:groupId/users',
    versions,
    access: readers,
    summary: 'Lists the members of a project.',
    query: MemberQuerySchema,
  })
  async list(@PathParam('groupId') projectId: string, @ValidQuery() query: MemberQuery, @Version() version: string): Promise<Page<object>> {
    const members = await this.projects.members(projectId);
    const asked = query.username?.toLowerCase();
    const found = asked === undefined ? members : members.filter((member) => member.email.toLowerCase() === asked);
    return pageOf(
      found.map((member) => userView(projectId, member, version)),
      query,
    );
  }

  @AtlasRoute({
    method: 'POST',
    path: '/groups/:groupId/users',
    versions,
    access: owners,
    summary: 'Adds a member by mail address. There is no invitation: the address gets mail from then on.',
    body: MemberAdditionSchema,
    success: 201,
  })
  async add(@PathParam('groupId') projectId: string, @ValidBody() body: MemberAddition, @Version() version: string): Promise<object> {
    return userView(projectId, await this.projects.addMember(projectId, body.username, body.roles), version);
  }

  @AtlasRoute({ method: 'GET', path: '/groups/:groupId/users/:userId', versions, access: readers, summary: 'Shows a member of a project.' })
  async get(@PathParam('groupId') projectId: string, @PathParam('userId') userId: string, @Version() version: string): Promise<object> {
    return userView(projectId, await this.projects.member(projectId, userId), version);
  }

  @AtlasRoute({
    method: 'PATCH',
    path: '/groups/:groupId/users/:userId',
    versions,
    access: owners,
    summary: 'Gives a member other roles.',
    body: MemberChangeSchema,
  })
  async update(
    @PathParam('groupId') projectId: string,
    @PathParam('userId') userId: string,
    @ValidBody() body: MemberChange,
    @Version() version: string,
  ): Promise<object> {
    return userView(projectId, await this.projects.changeMember(projectId, userId, body.roles), version);
  }

  @AtlasRoute({
    method: 'DELETE',
    path: '/groups/:groupId/users/:userId',
    versions,
    access: owners,
    summary: 'Removes a member from a project.',
    success: 204,
  })
  async remove(@PathParam('groupId') projectId: string, @PathParam('userId') userId: string): Promise<void> {
    await this.projects.removeMember(projectId, userId);
  }
}
