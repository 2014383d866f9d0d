import {
  OrganisationAccountChangeSchema,
  OrganisationAccountCreationSchema,
  SecretCreationSchema,
  ServiceAccountSecretViewSchema,
  ServiceAccountViewSchema,
  type OrganisationAccountChange,
  type OrganisationAccountCreation,
  type SecretCreation,
  type ServiceAccountSecretView,
  type ServiceAccountView,
} from '@atrest/contracts';
import { AtlasRoute, page, PathParam, rowsOf, ValidBody, ValidQuery, type Page } from '@atrest/platform-http';
import { Controller, Inject } from '@nestjs/common';
import { answering } from './access-api-error.js';
import { AccountListQuerySchema, type AccountListQuery } from './account-list-query.js';
import { newSecretView, organisationView } from './service-account-view.js';
import { ServiceAccounts } from './service-accounts.js';
import { SERVICE_ACCOUNTS } from './provider-tokens.js';

const versions = ['2024-08-05'];
const access = { org: ['ORG_OWNER'] } as const;

/** `/orgs/{orgId}/serviceAccounts`: the accounts of an organisation, for its owners. */
@Controller()
export class OrganisationAccountsController {
  constructor(@Inject(SERVICE_ACCOUNTS) private readonly accounts: ServiceAccounts) {}

  @AtlasRoute({
    method: 'GET',
    path: '/orgs/:orgId/serviceAccounts',
    versions,
    access,
    summary: 'Lists the service accounts of an organisation.',
    query: AccountListQuerySchema,
    response: ServiceAccountViewSchema,
  })
  async list(@PathParam('orgId') orgId: string, @ValidQuery() query: AccountListQuery): Promise<Page<ServiceAccountView>> {
    const { views, total } = await this.accounts.list({ orgId }, rowsOf(query));
    return page(
      views.map((view) => organisationView(view)),
      total,
      query,
    );
  }

  @AtlasRoute({
    method: 'POST',
    path: '/orgs/:orgId/serviceAccounts',
    versions,
    access,
    summary: 'Creates a service account with its first secret, whose value only this answer shows.',
    body: OrganisationAccountCreationSchema,
    response: ServiceAccountViewSchema,
    success: 201,
  })
  async create(@PathParam('orgId') orgId: string, @ValidBody() body: OrganisationAccountCreation): Promise<ServiceAccountView> {
    const { roles, ...wanted } = body;
    const created = await this.accounts.create(orgId, { ...wanted, orgRoles: roles });
    return organisationView(created, created.secret);
  }

  @AtlasRoute({
    method: 'GET',
    path: '/orgs/:orgId/serviceAccounts/:clientId',
    versions,
    access,
    summary: 'Shows a service account of an organisation.',
    response: ServiceAccountViewSchema,
  })
  async get(@PathParam('orgId') orgId: string, @PathParam('clientId') clientId: string): Promise<ServiceAccountView> {
    return answering(async () => organisationView(await this.accounts.find({ orgId }, clientId)));
  }

  @AtlasRoute({
    method: 'PATCH',
    path: '/orgs/:orgId/serviceAccounts/:clientId',
    versions,
    access,
    summary: 'Changes name, description or organisation roles of a service account. Takes effect with the next request.',
    body: OrganisationAccountChangeSchema,
    response: ServiceAccountViewSchema,
  })
  async update(
    @PathParam('orgId') orgId: string,
    @PathParam('clientId') clientId: string,
    @ValidBody() body: OrganisationAccountChange,
  ): Promise<ServiceAccountView> {
    return answering(async () => organisationView(await this.accounts.updateInOrganisation(orgId, clientId, body)));
  }

  @AtlasRoute({
    method: 'DELETE',
    path: '/orgs/:orgId/serviceAccounts/:clientId',
    versions,
    access,
    summary: 'Deletes a service account with its secrets; its access tokens are refused from then on.',
    success: 204,
  })
  async delete(@PathParam('orgId') orgId: string, @PathParam('clientId') clientId: string): Promise<void> {
    await answering(() => this.accounts.delete(orgId, clientId));
  }

  @AtlasRoute({
    method: 'POST',
    path: '/orgs/:orgId/serviceAccounts/:clientId/secrets',
    versions,
    access,
    summary: 'Creates another secret, whose value only this answer shows.',
    body: SecretCreationSchema,
    response: ServiceAccountSecretViewSchema,
    success: 201,
  })
  async createSecret(
    @PathParam('orgId') orgId: string,
    @PathParam('clientId') clientId: string,
    @ValidBody() body: SecretCreation,
  ): Promise<ServiceAccountSecretView> {
    return answering(async () => newSecretView(await this.accounts.createSecret({ orgId }, clientId, body.secretExpiresAfterHours)));
  }

  @AtlasRoute({
    method: 'DELETE',
    path: '/orgs/:orgId/serviceAccounts/:clientId/secrets/:secretId',
    versions,
    access,
    summary: 'Deletes a secret. Access tokens made with it live on until they expire or are revoked.',
    success: 204,
  })
  async deleteSecret(
    @PathParam('orgId') orgId: string,
    @PathParam('clientId') clientId: string,
    @PathParam('secretId') secretId: string,
  ): Promise<void> {
    await answering(() => this.accounts.deleteSecret({ orgId }, clientId, secretId));
  }
}
