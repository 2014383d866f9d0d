import { Controller, Inject, type Type } from '@nestjs/common';
import {
  EncryptionAtRestChangeSchema,
  EncryptionAtRestSchema,
  KeyCheckAnswerSchema,
  KeyHistorySchema,
  KeyValidityStatusSchema,
  type EncryptionAtRest,
  type EncryptionAtRestChange,
  type KeyCheckAnswer,
  type KeyHistory,
  type KeyValidityStatus,
} from '@atrest/contracts';
import { AtlasRoute, PathParam, ValidBody } from '@atrest/platform-http';
import { EncryptionAtRestUseCases } from './encryption-at-rest.js';
import { answer } from './http-answer.js';
import { providerBindings } from './providers/bindings.js';
import type { ProviderBinding } from './providers/provider-binding.js';

/** Dates of the operations' versions. */
export const VERSIONS = ['2023-01-01'];

/** Encryption at rest of a project: the Atlas operations. */
@Controller()
export class EncryptionAtRestController {
  constructor(@Inject(EncryptionAtRestUseCases) private readonly useCases: EncryptionAtRestUseCases) {}

  @AtlasRoute({
    method: 'GET',
    path: '/groups/:groupId/encryptionAtRest',
    versions: VERSIONS,
    access: { project: ['GROUP_READ_ONLY'] },
    summary: 'Returns the key configurations of a project.',
    response: EncryptionAtRestSchema,
  })
  async read(@PathParam('groupId') groupId: string): Promise<EncryptionAtRest> {
    return answer(await this.useCases.read(groupId));
  }

  @AtlasRoute({
    method: 'PATCH',
    path: '/groups/:groupId/encryptionAtRest',
    versions: VERSIONS,
    access: { project: ['GROUP_OWNER'] },
    summary: 'Enables, changes or disables encryption at rest with customer keys; new settings are proven before they are stored.',
    body: EncryptionAtRestChangeSchema,
    response: EncryptionAtRestSchema,
  })
  async change(@PathParam('groupId') groupId: string, @ValidBody() change: EncryptionAtRestChange): Promise<EncryptionAtRest> {
    return answer(await this.useCases.change(groupId, change));
  }
}

/** What we add for each provider: to see what is known about its key, and to repeat a check. */
function providerController({ attribute, kms, provider }: ProviderBinding): Type {
  const path = `/groups/:groupId/encryptionAtRest/${attribute}`;
  const key = `the key in ${kms.replace(/^The /, 'the ')}`;

  @Controller()
  class ProviderKeyController {
    constructor(@Inject(EncryptionAtRestUseCases) private readonly useCases: EncryptionAtRestUseCases) {}

    @AtlasRoute({
      method: 'GET',
      path: `${path}/status`,
      versions: VERSIONS,
      access: { project: ['GROUP_READ_ONLY'] },
      summary: `Returns what is known about the validity of ${key}: state, evidence, last proof, next check.`,
      response: KeyValidityStatusSchema,
    })
    async status(@PathParam('groupId') groupId: string): Promise<KeyValidityStatus> {
      return answer(await this.useCases.status(groupId, provider));
    }

    @AtlasRoute({
      method: 'GET',
      path: `${path}/history`,
      versions: VERSIONS,
      access: { project: ['GROUP_READ_ONLY'] },
      summary: `Returns the changes of state of ${key} with their evidence, and what its checks gave, newest first; kept for 90 days.`,
      response: KeyHistorySchema,
    })
    async history(@PathParam('groupId') groupId: string): Promise<KeyHistory> {
      return answer(await this.useCases.historyOf(groupId, provider));
    }

    @AtlasRoute({
      method: 'POST',
      path: `${path}:check`,
      versions: VERSIONS,
      access: { project: ['GROUP_OWNER', 'GROUP_CLUSTER_MANAGER'] },
      summary: `Checks ${key} now (try again) and answers with the verdict and what followed from it.`,
      response: KeyCheckAnswerSchema,
    })
    async check(@PathParam('groupId') groupId: string): Promise<KeyCheckAnswer> {
      return answer(await this.useCases.check(groupId, provider));
    }
  }
  // Names the operations in logs and in the generated reference.
  Object.defineProperty(ProviderKeyController, 'name', { value: `${attribute.charAt(0).toUpperCase()}${attribute.slice(1)}Controller` });
  return ProviderKeyController;
}

/** One controller per provider. */
export const providerControllers: readonly Type[] = providerBindings.map(providerController);
