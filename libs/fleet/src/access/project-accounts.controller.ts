import {
  ProjectAccountChangeSchema,
  ProjectAccountCreationSchema,
  ProjectInvitationSchema,
  SecretCreationSchema,
  ServiceAccountSecretViewSchema,
  ServiceAccountViewSchema,
  type ProjectAccountChange,
  type ProjectAccountCreation,
  type ProjectInvitation,
  type SecretCreation,
  type ServiceAccountSecretView,
  type ServiceAccountView,
} from '@atrest/contracts';
import { CurrentCaller, type Caller } from '@atrest/platform-auth';
import { AtlasRoute, page, PathParam, rowsOf, ValidBody, ValidQuery, type Page } from '@atrest/platform-http';
import { Controller, Inject } from '@nestjs/common';
import { answering } from './access-api-error.js';
import { AccountListQuerySchema, type AccountListQuery } from './account-list-query.js';
import { newSecretView, projectView } from './service-account-view.js';
import { ServiceAccounts } from './service-accounts.js';
import { SERVICE_ACCOUNTS } from './provider-tokens.js';

const versions = ['2024-08-05'];
const access = { project: ['GROUP_OWNER'] } as const;

/**
 * `/groups/{groupId}/serviceAccounts`: the accounts that have a role in a project, for its owners. The project belongs to the caller's organisation,
 * or the guard had not let him in.
 */
@Controller()
export class ProjectAccountsController {
  constructor(@Inject(SERVICE_ACCOUNTS) private readonly accounts: ServiceAccounts) {}

  @AtlasRoute({
    method: 'GET',
    path: '/groups/:groupId/serviceAccounts',
    versions,
    access,
    summary: 'Lists the service accounts that have a role in a project.',
    query: AccountListQuerySchema,
    response: ServiceAccountViewSchema,
  })
  async list(
    @CurrentCaller() caller: Caller,
    @PathParam('groupId') projectId: string,
    @ValidQuery() query: AccountListQuery,
  ): Promise<Page<ServiceAccountView>> {
    const { views, total } = await this.accounts.list({ orgId: caller.orgId, projectId }, rowsOf(query));
    return page(
      views.map((view) => projectView(view, projectId)),
      total,
      query,
    );
  }

  @AtlasRoute({
    method: 'POST',
    path: '/groups/:groupId/serviceAccounts',
    versions,
    access,
    summary: 'Creates a service account with roles in a project and its first secret, whose value only this answer shows.',
    body: ProjectAccountCreationSchema,
    response: ServiceAccountViewSchema,
    success: 201,
  })
  async create(
    @CurrentCaller() caller: Caller,
    @PathParam('groupId') projectId: string,
    @ValidBody() body: ProjectAccountCreation,
  ): Promise<ServiceAccountView> {
    const { roles, ...wanted } = body;
    const created = await this.accounts.create(caller.orgId, { ...wanted, orgRoles: ['ORG_MEMBER'], project: { id: projectId, roles } });
    return projectView(created, projectId, created.secret);
  }

  @AtlasRoute({
    method: 'GET',
    path: '/groups/:groupId/serviceAccounts/:clientId',
    versions,
    access,
    summary: 'Shows a service account that has a role in a project.',
    response: ServiceAccountViewSchema,
  })
  async get(
    @CurrentCaller() caller: Caller,
    @PathParam('groupId') projectId: string,
    @PathParam('clientId') clientId: string,
  ): Promise<ServiceAccountView> {
    return answering(async () => projectView(await this.accounts.find({ orgId: caller.orgId, projectId }, clientId), projectId));
  }

  @AtlasRoute({
    method: 'PATCH',
    path: '/groups/:groupId/serviceAccounts/:clientId',
    versions,
    access,
    summary: 'Changes name, description or project roles of a service account. Takes effect with the next request.',
    body: ProjectAccountChangeSchema,
    response: ServiceAccountViewSchema,
  })
  async update(
    @CurrentCaller() caller: Caller,
    @PathParam('groupId') projectId: string,
    @PathParam('clientId') clientId: string,
    @ValidBody() body: ProjectAccountChange,
  ): Promise<ServiceAccountView> {
    return answering(async () => projectView(await this.accounts.updateInProject(caller.orgId, projectId, clientId, body), projectId));
  }

  @AtlasRoute({
    method: 'DELETE',
    path: '/groups/:groupId/serviceAccounts/:clientId',
    versions,
    access,
    summary: 'Takes a service account out of a project. It stays in the organisation.',
    success: 204,
  })
  async remove(
    @CurrentCaller() caller: Caller,
    @PathParam('groupId') projectId: string,
    @PathParam('clientId') clientId: string,
  ): Promise<void> {
    await answering(() => this.accounts.removeFromProject(caller.orgId, projectId, clientId));
  }

  @AtlasRoute({
    method: 'POST',
    path: '/groups/:groupId/serviceAccounts/:clientId:invite',
    versions,
    access,
    summary: 'Gives a service account of the organisation roles in a project.',
    body: ProjectInvitationSchema,
    response: ServiceAccountViewSchema,
  })
  async invite(
    @CurrentCaller() caller: Caller,
    @PathParam('groupId') projectId: string,
    @PathParam('clientId') clientId: string,
    @ValidBody() body: ProjectInvitation,
  ): Promise<ServiceAccountView> {
    return answering(async () => projectView(await this.accounts.invite(caller.orgId, projectId, clientId, body.roles), projectId));
  }

  @AtlasRoute({
    method: 'POST',
    path: '/groups/:groupId/serviceAccounts/:clientId/secrets',
    versions,
    access,
    summary: 'Creates another secret for a service account that has no role outside the project.',
    body: SecretCreationSchema,
    response: ServiceAccountSecretViewSchema,
    success: 201,
  })
  async createSecret(
    @CurrentCaller() caller: Caller,
    @PathParam('groupId') projectId: string,
    @PathParam('clientId') clientId: string,
    @ValidBody() body: SecretCreation,
  ): Promise<ServiceAccountSecretView> {
    const scope = { orgId: caller.orgId, projectId };
    return answering(async () => newSecretView(await this.accounts.createSecret(scope, clientId, body.secretExpiresAfterHours)));
  }

  @AtlasRoute({
    method: 'DELETE',
    path: '/groups/:groupId/serviceAccounts/:clientId/secrets/:secretId',
    versions,
    access,
    summary: 'Deletes a secret of a service account that has no role outside the project.',
    success: 204,
  })
  async deleteSecret(
    @CurrentCaller() caller: Caller,
    @PathParam('groupId') projectId: string,
    @PathParam('clientId') clientId: string,
    @PathParam('secretId') secretId: string,
  ): Promise<void> {
    await answering(() => this.accounts.deleteSecret({ orgId: caller.orgId, projectId }, clientId, secretId));
  }
}
