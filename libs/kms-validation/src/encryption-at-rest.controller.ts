import { Controller, Inject } from '@nestjs/common';
import {
  EncryptionAtRestChangeSchema,
  EncryptionAtRestSchema,
  KeyCheckAnswerSchema,
  KeyValidityStatusSchema,
  type EncryptionAtRest,
  type EncryptionAtRestChange,
  type KeyCheckAnswer,
  type KeyValidityStatus,
} from '@atrest/contracts';
import { ApiError, AtlasRoute, PathParam, ValidBody } from '@atrest/platform-http';
import { EncryptionAtRestUseCases } from './encryption-at-rest.js';
import type { Outcome, RefusalCode } from './refusal.js';

const VERSIONS = ['2023-01-01'];

/** HTTP statuses of refusals; 400 where nothing is said (atlas-admin-api, error codes). */
const STATUS: Readonly<Partial<Record<RefusalCode, number>>> = {
  GROUP_NOT_FOUND: 404,
  AWS_CUSTOMER_MASTER_KEY_NOT_FOUND: 404,
  CANNOT_DISABLE_ENCRYPTION_AT_REST: 409,
  ENCRYPTION_AT_REST_CHANGED_MEANWHILE: 409,
  SERVICE_UNAVAILABLE: 503,
};

function answer<Value>(outcome: Outcome<Value>): Value {
  if (outcome.kind === 'done') return outcome.value;
  const { code, detail, parameters } = outcome.refusal;
  const error = new ApiError(STATUS[code] ?? 400, code, detail, [...(parameters ?? [])]);
  throw code === 'SERVICE_UNAVAILABLE' ? error.withHeader('Retry-After', '5') : error;
}

/** Encryption at rest of a project: the Atlas operations, and what we add to see and to repeat a check. */
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
    summary: 'Enables, changes or disables encryption at rest with a customer key; new settings are proven before they are stored.',
    body: EncryptionAtRestChangeSchema,
    response: EncryptionAtRestSchema,
  })
  async change(@PathParam('groupId') groupId: string, @ValidBody() change: EncryptionAtRestChange): Promise<EncryptionAtRest> {
    return answer(await this.useCases.change(groupId, change));
  }

  @AtlasRoute({
    method: 'GET',
    path: '/groups/:groupId/encryptionAtRest/awsKms/status',
    versions: VERSIONS,
    access: { project: ['GROUP_READ_ONLY'] },
    summary: 'Returns what is known about the validity of the AWS key: state, evidence, last proof, next check.',
    response: KeyValidityStatusSchema,
  })
  async status(@PathParam('groupId') groupId: string): Promise<KeyValidityStatus> {
    return answer(await this.useCases.status(groupId));
  }

  @AtlasRoute({
    method: 'POST',
    path: '/groups/:groupId/encryptionAtRest/awsKms:check',
    versions: VERSIONS,
    access: { project: ['GROUP_OWNER', 'GROUP_CLUSTER_MANAGER'] },
    summary: 'Checks the AWS key now (try again) and answers with the verdict and what followed from it.',
    response: KeyCheckAnswerSchema,
  })
  async check(@PathParam('groupId') groupId: string): Promise<KeyCheckAnswer> {
    return answer(await this.useCases.check(groupId));
  }
}
