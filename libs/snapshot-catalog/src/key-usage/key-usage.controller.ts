import { EncryptionKeySchema, KeyUsageSchema, type EncryptionKey, type KeyUsage } from '@atrest/contracts';
import { AtlasRoute, BaseUrl, pageOf, PageQuerySchema, PathParam, ValidQuery, type Page, type PageRequest } from '@atrest/platform-http';
import { Controller, Inject } from '@nestjs/common';
import { z } from 'zod';
import { KeyUsages } from './key-usage.service.js';

const VERSIONS = ['2023-01-01'];
const READ = { project: ['GROUP_READ_ONLY' as const] };
const KEYS = '/groups/:groupId/encryptionKeys';

const EncryptionKeyListSchema = z.object({
  links: EncryptionKeySchema.shape.links,
  results: z.array(EncryptionKeySchema),
  totalCount: z.int().optional(),
});

/** Extension: what depends on a project's customer keys. */
@Controller()
export class KeyUsageController {
  constructor(@Inject(KeyUsages) private readonly usages: KeyUsages) {}

  @AtlasRoute({
    method: 'GET',
    path: KEYS,
    versions: VERSIONS,
    access: READ,
    summary: 'Returns the customer keys that a project uses or used, with the snapshots that each protects.',
    query: PageQuerySchema,
    response: EncryptionKeyListSchema,
  })
  async list(
    @PathParam('groupId') groupId: string,
    @ValidQuery() query: PageRequest,
    @BaseUrl() baseUrl: string,
  ): Promise<Page<EncryptionKey>> {
    return pageOf(await this.usages.list(groupId, baseUrl), query);
  }

  @AtlasRoute({
    method: 'GET',
    path: `${KEYS}/:keyId/usage`,
    versions: VERSIONS,
    access: READ,
    summary:
      'Returns everything that depends on a customer key (its id, or its percent-encoded name), and the first date when deleting it is harmless.',
    response: KeyUsageSchema,
  })
  async usage(@PathParam('groupId') groupId: string, @PathParam('keyId') keyId: string, @BaseUrl() baseUrl: string): Promise<KeyUsage> {
    return this.usages.usage(groupId, keyId, baseUrl);
  }

  @AtlasRoute({
    method: 'POST',
    path: `${KEYS}/:keyId:deletion-check`,
    versions: VERSIONS,
    access: READ,
    summary:
      'Answers 200 when nothing depends on a customer key, and 409 with the reasons while something does, for use in pipelines. Changes nothing.',
    response: KeyUsageSchema,
  })
  async checkDeletion(
    @PathParam('groupId') groupId: string,
    @PathParam('keyId') keyId: string,
    @BaseUrl() baseUrl: string,
  ): Promise<KeyUsage> {
    return this.usages.checkDeletion(groupId, keyId, baseUrl);
  }
}
