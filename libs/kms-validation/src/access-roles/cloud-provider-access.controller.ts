import { Controller, Inject } from '@nestjs/common';
import {
  AccessRoleAuthorisationSchema,
  AccessRoleSchema,
  AccessRolesSchema,
  NewAccessRoleSchema,
  type AccessRoleAuthorisation,
  type AccessRolesView,
  type AccessRoleView,
  type NewAccessRole,
} from '@atrest/contracts';
import { AtlasRoute, PathParam, ValidBody } from '@atrest/platform-http';
import { answer } from '../http-answer.js';
import { CloudProviderAccess } from './cloud-provider-access.js';

const VERSIONS = ['2023-01-01'];
const PATH = '/groups/:groupId/cloudProviderAccess';

/** Roles under which this installation may act for a project: the Atlas operations. */
@Controller()
export class CloudProviderAccessController {
  constructor(@Inject(CloudProviderAccess) private readonly access: CloudProviderAccess) {}

  @AtlasRoute({
    method: 'GET',
    path: PATH,
    versions: VERSIONS,
    access: { project: ['GROUP_OWNER'] },
    summary: 'Returns the roles that a project set up at its cloud providers.',
    response: AccessRolesSchema,
  })
  async list(@PathParam('groupId') groupId: string): Promise<AccessRolesView> {
    return answer(await this.access.list(groupId));
  }

  @AtlasRoute({
    method: 'POST',
    path: PATH,
    versions: VERSIONS,
    access: { project: ['GROUP_OWNER'] },
    summary: 'Prepares a role: answers what its trust policy must name.',
    body: NewAccessRoleSchema,
    response: AccessRoleSchema,
  })
  async create(@PathParam('groupId') groupId: string, @ValidBody() asked: NewAccessRole): Promise<AccessRoleView> {
    return answer(await this.access.create(groupId, asked));
  }

  @AtlasRoute({
    method: 'GET',
    path: `${PATH}/:roleId`,
    versions: VERSIONS,
    access: { project: ['GROUP_OWNER'] },
    summary: 'Returns one role.',
    response: AccessRoleSchema,
  })
  async read(@PathParam('groupId') groupId: string, @PathParam('roleId') roleId: string): Promise<AccessRoleView> {
    return answer(await this.access.read(groupId, roleId));
  }

  @AtlasRoute({
    method: 'PATCH',
    path: `${PATH}/:roleId`,
    versions: VERSIONS,
    access: { project: ['GROUP_OWNER'] },
    summary: 'Authorises a role: it is assumed before it is stored.',
    body: AccessRoleAuthorisationSchema,
    response: AccessRoleSchema,
  })
  async authorise(
    @PathParam('groupId') groupId: string,
    @PathParam('roleId') roleId: string,
    @ValidBody() asked: AccessRoleAuthorisation,
  ): Promise<AccessRoleView> {
    return answer(await this.access.authorise(groupId, roleId, asked));
  }

  @AtlasRoute({
    method: 'DELETE',
    path: `${PATH}/:cloudProvider/:roleId`,
    versions: VERSIONS,
    access: { project: ['GROUP_OWNER'] },
    summary: 'Removes a role that no key configuration uses.',
    success: 204,
  })
  async remove(
    @PathParam('groupId') groupId: string,
    @PathParam('cloudProvider') cloudProvider: string,
    @PathParam('roleId') roleId: string,
  ): Promise<void> {
    answer(await this.access.remove(groupId, cloudProvider, roleId));
  }
}
