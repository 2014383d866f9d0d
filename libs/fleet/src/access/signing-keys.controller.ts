import {
  commandKid,
  SigningKeyRegistrationSchema,
  SigningKeyViewSchema,
  type SigningKeyRegistration,
  type SigningKeyView,
} from '@atrest/contracts';
import {
  atlasTime,
  AtlasRoute,
  pageOf,
  PageQuerySchema,
  PathParam,
  ValidBody,
  ValidQuery,
  type Page,
  type PageRequest,
} from '@atrest/platform-http';
import { Controller, Inject } from '@nestjs/common';
import { answering } from './access-api-error.js';
import { SERVICE_ACCOUNTS } from './provider-tokens.js';
import type { CommandKey } from './service-account.js';
import { ServiceAccounts } from './service-accounts.js';

const versions = ['2024-08-05'];
const access = { org: ['ORG_OWNER'] } as const;

/** `/orgs/{orgId}/serviceAccounts/{clientId}/signingKeys` (extension): the keys with which an account signs the commands that it publishes. */
@Controller()
export class SigningKeysController {
  constructor(@Inject(SERVICE_ACCOUNTS) private readonly accounts: ServiceAccounts) {}

  @AtlasRoute({
    method: 'GET',
    path: '/orgs/:orgId/serviceAccounts/:clientId/signingKeys',
    versions,
    access,
    summary: 'Lists the public keys with which a service account signs commands.',
    query: PageQuerySchema,
    response: SigningKeyViewSchema,
  })
  async list(
    @PathParam('orgId') orgId: string,
    @PathParam('clientId') clientId: string,
    @ValidQuery() query: PageRequest,
  ): Promise<Page<SigningKeyView>> {
    const { account } = await answering(() => this.accounts.find({ orgId }, clientId));
    return pageOf(
      account.signingKeys.map((key) => view(clientId, key)),
      query,
    );
  }

  @AtlasRoute({
    method: 'POST',
    path: '/orgs/:orgId/serviceAccounts/:clientId/signingKeys',
    versions,
    access,
    summary: 'Registers the public half of a key with which a service account signs commands. The private half stays with its owner.',
    body: SigningKeyRegistrationSchema,
    response: SigningKeyViewSchema,
    success: 201,
  })
  async register(
    @PathParam('orgId') orgId: string,
    @PathParam('clientId') clientId: string,
    @ValidBody() body: SigningKeyRegistration,
  ): Promise<SigningKeyView> {
    return view(clientId, await answering(() => this.accounts.addSigningKey(orgId, clientId, body.publicJwk)));
  }

  @AtlasRoute({
    method: 'DELETE',
    path: '/orgs/:orgId/serviceAccounts/:clientId/signingKeys/:keyId',
    versions,
    access,
    summary: 'Takes a signing key away. Commands signed with it are refused from then on.',
    success: 204,
  })
  async remove(
    @PathParam('orgId') orgId: string,
    @PathParam('clientId') clientId: string,
    @PathParam('keyId') keyId: string,
  ): Promise<void> {
    await answering(() => this.accounts.removeSigningKey(orgId, clientId, keyId));
  }
}

const view = (clientId: string, { id, publicJwk, createdAt }: CommandKey): SigningKeyView => ({
  id,
  kid: commandKid(clientId, id),
  publicJwk,
  createdAt: atlasTime(new Date(createdAt)),
});
