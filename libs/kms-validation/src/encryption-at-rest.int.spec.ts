import {
  clusterCreated,
  clusterDeleted,
  clusterUpdated,
  EncryptionAtRestSchema,
  KeyCheckAnswerSchema,
  projectCreated,
  projectDeleted,
} from '@atrest/contracts';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { KeyConfigurationRepository } from './key-configuration.repository.js';
import type { KmsValidationService } from './kms-validation.service.js';
import { Api, type ApiAnswer } from './test-support/api.contract.js';
import { clusterState, newProject, projectState, Stage, statusOf } from './test-support/stage.contract.js';

const nulls = (...names: string[]) => Object.fromEntries(names.map((name) => [name, null]));
const OFF = { enabled: false, valid: false };
const UNCONFIGURED = {
  awsKms: { ...OFF, ...nulls('customerMasterKeyID', 'region', 'accessKeyID', 'roleId', 'requirePrivateNetworking') },
  azureKeyVault: {
    ...OFF,
    ...nulls('azureEnvironment', 'clientID', 'tenantID', 'subscriptionID', 'resourceGroupName', 'keyVaultName', 'keyIdentifier'),
    ...nulls('roleId', 'requirePrivateNetworking'),
  },
  googleCloudKms: { ...OFF, ...nulls('keyVersionResourceID', 'roleId') },
  kmip: { ...OFF, ...nulls('hosts', 'port', 'caCertificate', 'keyIdentifier') },
  enabledForSearchNodes: false,
};

describe('encryption at rest over HTTP', () => {
  let stage: Stage;
  let service: KmsValidationService;
  let api: Api;
  let projectId: string;
  let owner: string;

  beforeAll(async () => {
    stage = await Stage.open('encryption at rest');
    service = await stage.replica();
    api = await Api.open(stage, service);
  });
  afterAll(async () => {
    await api?.close();
    await stage?.close();
  });
  beforeEach(async () => {
    stage.kms.clearFaults();
    projectId = await newProject(stage);
    owner = await api.tokenFor('GROUP_OWNER', projectId);
  });

  const path = (id = projectId): string => `/groups/${id}/encryptionAtRest`;
  const get = (): Promise<ApiAnswer> => api.request('GET', path(), { token: owner });
  const patch = (body: unknown): Promise<ApiAnswer> => api.request('PATCH', path(), { token: owner, body });
  const patchAws = (awsKms: unknown): Promise<ApiAnswer> => patch({ awsKms });

  /** A key with credentials for it, as a first PATCH carries them. */
  function newKey(o: { alias?: string; origin?: 'EXTERNAL'; keyUsage?: string; keySpec?: string } = {}) {
    const key = stage.kms.createKey(o);
    const credentials = stage.kms.createAccessKey();
    const { accessKeyId, secretAccessKey } = credentials;
    const fields = { enabled: true, customerMasterKeyID: key.keyId, region: 'US_EAST_1', accessKeyID: accessKeyId, secretAccessKey };
    return { key, credentials, fields };
  }

  async function configure(): Promise<ReturnType<typeof newKey>> {
    const made = newKey();
    expect((await patchAws(made.fields)).status).toBe(200);
    return made;
  }

  it('an unconfigured project has all three providers, disabled, with their fields null', async () => {
    const answer = await get();
    expect(answer.status).toBe(200);
    expect(answer.body).toEqual(UNCONFIGURED);
    expect(answer.headers.get('content-type')).toBe('application/vnd.atlas.2023-01-01+json;charset=utf-8');
  });

  it('the first enabling proves the key, stores it and never shows the secret', async () => {
    const { key, fields } = newKey();
    const calls = stage.kms.calls().length;
    const answer = await patchAws(fields);
    expect(answer.status).toBe(200);
    expect(EncryptionAtRestSchema.parse(answer.body)).toEqual(answer.body);
    const { secretAccessKey, ...shown } = fields;
    expect(answer.body.awsKms).toEqual({ ...shown, roleId: null, requirePrivateNetworking: false, valid: true });
    expect((await get()).body).toEqual(answer.body);
    expect(
      stage.kms
        .calls()
        .slice(calls)
        .map(({ operation, outcome }) => [operation, outcome]),
    ).toEqual([
      ['Encrypt', 'ok'],
      ['Decrypt', 'ok'],
    ]);
    expect(stage.kms.calls().at(-1)!.encryptionContext).toEqual({ 'atrest:project': projectId, 'atrest:purpose': 'canary' });

    const [saved] = await stage.events(projectId);
    expect(saved).toMatchObject({
      name: 'saved',
      data: { state: 'VALID', resolvedKeyId: key.arn, lastProvenAt: stage.clock.now().toISOString() },
    });
    for (const place of [JSON.stringify(answer.body), JSON.stringify(saved), await stage.rawConfigurations(), stage.logLines.join('\n')]) {
      expect(place).not.toContain(secretAccessKey);
    }
  });

  it('is served under the older prefix, too', async () => {
    expect((await api.request('GET', path(), { token: owner, prefix: '/api/atlas/v1.0' })).body).toEqual(UNCONFIGURED);
  });

  it('what Terraform does: merges the whole object it read, and turns off all three providers', async () => {
    const { fields } = await configure();
    const read = (await get()).body;
    const calls = stage.kms.calls().length;
    const echoed = await patch(read);
    expect([echoed.status, echoed.body]).toEqual([200, read]);
    expect(stage.kms.calls()).toHaveLength(calls);
    const withSecret = await patch({ ...read, awsKms: { ...read.awsKms, secretAccessKey: fields.secretAccessKey } });
    expect(withSecret).toMatchObject({ status: 200, body: { awsKms: { valid: true } } });

    const off = { enabled: false };
    const removed = await patch({ awsKms: off, azureKeyVault: off, googleCloudKms: off });
    expect([removed.status, removed.body]).toEqual([200, UNCONFIGURED]);
    expect((await patch({ awsKms: off, azureKeyVault: off, googleCloudKms: off })).body).toEqual(UNCONFIGURED);
    expect(await stage.eventNames(projectId)).toEqual(['saved', 'saved', 'removed']);
    expect((await stage.events(projectId)).at(-1)!.data).toMatchObject({ enabled: false });
  });

  it.each([
    ['{}', {}],
    ['empty providers', { awsKms: {}, azureKeyVault: {}, googleCloudKms: null }],
  ])('a PATCH of %s changes nothing', async (_, body) => {
    expect(await patch(body)).toMatchObject({ status: 200, body: UNCONFIGURED });
    await configure();
    const before = (await get()).body;
    expect(await patch(body)).toMatchObject({ status: 200, body: before });
  });

  it.each([
    ['an unknown attribute', { awsKms: { enabled: true, keyId: 'x' } }, 'INVALID_ATTRIBUTE'],
    ['a region that is none', { awsKms: { region: 'eu-west-1' } }, 'INVALID_ENUM_VALUE'],
    ['a text for a flag', { awsKms: { enabled: 'yes' } }, 'INVALID_ATTRIBUTE'],
    ['missing attributes', { awsKms: { enabled: true } }, 'MISSING_ATTRIBUTES'],
    [
      'a role that the project has not',
      { awsKms: { ...newFields(), roleId: 'a'.repeat(24) } },
      'CLOUD_PROVIDER_ACCESS_ROLE_NOT_AUTHORIZED',
    ],
    ['a region where no key lives', { awsKms: { ...newFields(), region: 'GLOBAL' } }, 'AWS_KMS_REGION_NOT_SUPPORTED'],
    ['search nodes', { enabledForSearchNodes: true }, 'INVALID_ATTRIBUTE'],
    ['F85 a key of another cloud', { awsKms: { ...newFields(), customerMasterKeyID: 'projects/p/x' } }, 'INVALID_ATTRIBUTE'],
    ['F85 a trailing blank', { awsKms: { ...newFields(), customerMasterKeyID: 'alias/orders ' } }, 'INVALID_ATTRIBUTE'],
  ])('%s is refused with a precise code, before anything is asked of AWS', async (_, body, errorCode) => {
    const calls = stage.kms.calls().length;
    expect(await patch(body)).toMatchObject({ status: 400, body: { error: 400, errorCode } });
    expect(stage.kms.calls()).toHaveLength(calls);
  });

  it.each<[string, number, string, (made: ReturnType<typeof newKey>) => void]>([
    ['a key that does not exist', 404, 'AWS_CUSTOMER_MASTER_KEY_NOT_FOUND', ({ key }) => stage.kms.destroyKey(key.keyId)],
    ['a disabled key', 400, 'AWS_KMS_CUSTOMER_MASTER_KEY_NOT_ENABLED', ({ key }) => stage.kms.disableKey(key.keyId)],
    ['a key to be deleted', 400, 'AWS_KMS_CUSTOMER_MASTER_KEY_PENDING_DELETION', ({ key }) => stage.kms.scheduleKeyDeletion(key.keyId)],
    [
      'a key without material',
      400,
      'AWS_KMS_CUSTOMER_MASTER_KEY_PENDING_IMPORT',
      ({ key }) => stage.kms.setKeyState(key.keyId, 'PendingImport'),
    ],
    ['unknown credentials', 400, 'INVALID_AWS_CREDENTIALS', ({ credentials }) => stage.kms.deleteAccessKey(credentials.accessKeyId)],
    [
      'no right to encrypt',
      400,
      'NO_PERMISSION_TO_ENCRYPT_DECRYPT',
      ({ key }) => stage.kms.deny({ keyId: key.keyId, operations: ['Encrypt'] }),
    ],
    [
      'no right to decrypt',
      400,
      'NO_PERMISSION_TO_ENCRYPT_DECRYPT',
      ({ key }) => stage.kms.deny({ keyId: key.keyId, operations: ['Decrypt'] }),
    ],
    ['a throttling KMS', 503, 'SERVICE_UNAVAILABLE', () => stage.kms.inject({ kind: 'throttle' })],
    ['a broken KMS', 503, 'SERVICE_UNAVAILABLE', () => stage.kms.inject({ kind: 'error', status: 500 })],
  ])('%s: nothing is stored', async (_, status, errorCode, spoil) => {
    const made = newKey();
    spoil(made);
    const answer = await patchAws(made.fields);
    expect(answer).toMatchObject({ status, body: { error: status, errorCode } });
    expect(JSON.stringify(answer.body)).not.toContain(made.fields.secretAccessKey);
    stage.kms.clearFaults();
    expect((await get()).body).toEqual(UNCONFIGURED);
    expect(await stage.eventNames(projectId)).toEqual([]);
  });

  it('a wrong secret is a wrong credential', async () => {
    const { fields } = newKey();
    expect(await patchAws({ ...fields, secretAccessKey: 'wrong' })).toMatchObject({ body: { errorCode: 'INVALID_AWS_CREDENTIALS' } });
  });

  it('a key for signing cannot be used', async () => {
    const { fields } = newKey({ keySpec: 'RSA_2048', keyUsage: 'SIGN_VERIFY' });
    expect(await patchAws(fields)).toMatchObject({ status: 400, body: { errorCode: 'NO_PERMISSION_TO_ENCRYPT_DECRYPT' } });
  });

  it('another key is accepted while the present one works, and keeps the configuration’s id', async () => {
    await configure();
    const { id } = await statusOf(service, projectId);
    const other = stage.kms.createKey({ alias: 'other' });
    expect(await patchAws({ customerMasterKeyID: 'alias/other' })).toMatchObject({
      status: 200,
      body: { awsKms: { customerMasterKeyID: 'alias/other' } },
    });
    expect(await statusOf(service, projectId)).toMatchObject({ id, state: 'VALID', resolvedKeyId: other.arn });
    expect(await stage.eventNames(projectId)).toEqual(['saved', 'saved', 'rotated']);
  });

  it.each<[string, (keyId: string) => void]>([
    ['disabled', (keyId) => stage.kms.disableKey(keyId)],
    ['unreachable', (keyId) => stage.kms.inject({ kind: 'throttle', keyId })],
  ])('neither another key nor turning off while the present key is %s', async (_, spoil) => {
    const { key } = await configure();
    const other = newKey();
    spoil(key.keyId);
    for (const change of [{ customerMasterKeyID: other.key.keyId }, other.fields, { enabled: false }]) {
      expect(await patchAws(change)).toMatchObject({ status: 400, body: { errorCode: 'ENCRYPTION_AT_REST_SETTINGS_INVALID' } });
    }
    expect((await get()).body.awsKms).toMatchObject({ enabled: true, customerMasterKeyID: key.keyId });
  });

  it('new credentials of somebody who reaches another key of the same alias only are refused', async () => {
    const alias = newKey({ alias: 'team/orders' });
    expect(await patchAws({ ...alias.fields, customerMasterKeyID: 'alias/team/orders' })).toMatchObject({ status: 200 });
    const decoy = newKey();
    stage.kms.pointAlias('team/orders', decoy.key.keyId);
    stage.kms.deny({ keyId: alias.key.keyId, accessKeyId: decoy.credentials.accessKeyId });
    const change = { accessKeyID: decoy.credentials.accessKeyId, secretAccessKey: decoy.credentials.secretAccessKey };
    expect(await patchAws(change)).toMatchObject({ status: 400, body: { errorCode: 'NO_PERMISSION_TO_ENCRYPT_DECRYPT' } });
    expect((await get()).body.awsKms.accessKeyID).toBe(alias.fields.accessKeyID);
  });

  it('is not turned off while a cluster uses it', async () => {
    await configure();
    const cluster = clusterState(projectId);
    await stage.deliver(clusterCreated, cluster);
    expect(await patchAws({ enabled: false })).toMatchObject({
      status: 409,
      body: { errorCode: 'CANNOT_DISABLE_ENCRYPTION_AT_REST', parameters: ['orders'] },
    });
    await stage.deliver(clusterUpdated, { ...cluster, revision: 2, state: 'DELETING' });
    expect((await patchAws({ enabled: false })).status).toBe(409);
    await stage.deliver(clusterDeleted, { ...cluster, revision: 3, deletedAt: stage.clock.now().toISOString() });
    // An older event that comes late does not bring the cluster back.
    await stage.deliver(clusterUpdated, { ...cluster, revision: 2 });
    expect((await patchAws({ enabled: false })).status).toBe(200);
  });

  it('a cluster that is accepted while its key configuration is removed does not go unnoticed', async () => {
    await configure();
    expect((await patchAws({ enabled: false })).status).toBe(200);
    const cluster = clusterState(projectId);
    await stage.deliver(clusterCreated, cluster);
    await stage.deliver(clusterUpdated, { ...cluster, revision: 2 });
    const found = (await stage.events(projectId)).filter(({ name }) => name === 'attention-needed');
    expect(found).toMatchObject([{ data: { enabled: false, provider: 'AWS', attention: { kind: 'KEY_CONFIGURATION_MISSING' } } }]);
    expect(found[0]!.data.attention!.detail).toContain('Cluster orders uses a customer key in AWS KMS');
    // Configured again, and lost again: that is another gap.
    await configure();
    await stage.deliver(clusterUpdated, { ...cluster, revision: 3 });
    expect((await stage.events(projectId)).filter(({ name }) => name === 'attention-needed')).toHaveLength(1);
  });

  it('a removal and a cluster at the same moment: one of them sees the other', async () => {
    await configure();
    const cluster = clusterState(projectId);
    const [removed] = await Promise.all([patchAws({ enabled: false }), stage.deliver(clusterCreated, cluster)]);
    const missing = (await stage.eventNames(projectId)).filter((name) => name === 'attention-needed').length;
    expect([removed.status, missing]).toEqual(removed.status === 200 ? [200, 1] : [409, 0]);
  });

  it('of two PATCHes at the same time, one wins and the other is told', async () => {
    await configure();
    const keys = [newKey(), newKey(), newKey()];
    let waiting = 0;
    let open!: () => void;
    const all = new Promise<void>((resolve) => {
      open = resolve;
    });
    stage.beforeUnwrap = async () => {
      waiting += 1;
      if (waiting === keys.length) open();
      await all;
    };
    const answers = await Promise.all(keys.map(({ fields }) => patchAws(fields)));
    stage.beforeUnwrap = () => Promise.resolve();
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(2);
    const winner = answers.find(({ status }) => status === 200)!;
    expect((await get()).body).toEqual(winner.body);
    expect(await stage.eventNames(projectId)).toEqual(['saved', 'saved', 'rotated']);
  });

  it('‘try again’ says how the key is right now, and does not hurry the confirmation', async () => {
    const { key } = await configure();
    const check = (token = owner): Promise<ApiAnswer> => api.request('POST', `${path()}/awsKms:check`, { token });
    expect((await check()).body).toMatchObject({
      verdict: 'usable',
      state: 'VALID',
      valid: true,
      confirmations: 0,
      confirmationsNeeded: 3,
    });
    stage.kms.disableKey(key.keyId);
    for (let again = 0; again < 5; again += 1) {
      const answer = await check(await api.tokenFor('GROUP_CLUSTER_MANAGER', projectId));
      expect(KeyCheckAnswerSchema.parse(answer.body)).toEqual(answer.body);
      expect(answer).toMatchObject({
        status: 200,
        body: { verdict: 'definitive', reason: 'KEY_DISABLED', state: 'SUSPECT', confirmations: 1, valid: true },
      });
      expect(answer.body.nextCheckAt).toBe(`${new Date(stage.clock.now().getTime() + 6_667).toISOString().slice(0, 19)}Z`);
    }
    await stage.tick(service);
    await stage.tick(service);
    const status = await api.request('GET', `${path()}/awsKms/status`, { token: owner });
    expect(status.body).toMatchObject({ state: 'INVALID', valid: false, confirmations: 3, resolvedKeyId: key.arn, unreachableSince: null });
    expect(status.body.evidence).toHaveLength(3);
    stage.kms.enableKey(key.keyId);
    expect((await check()).body).toMatchObject({ verdict: 'usable', state: 'VALID', valid: true });
    expect(await stage.eventNames(projectId)).toEqual(['saved', 'invalidated', 'validated']);
  });

  it('without a configuration there is nothing to check', async () => {
    for (const [method, rest] of [
      ['POST', 'awsKms:check'],
      ['GET', 'awsKms/status'],
    ] as const) {
      expect(await api.request(method, `${path()}/${rest}`, { token: owner })).toMatchObject({
        status: 400,
        body: { errorCode: 'ENCRYPTION_AT_REST_NOT_ENABLED' },
      });
    }
  });

  it('who may do what', async () => {
    await configure();
    const reader = await api.tokenFor('GROUP_READ_ONLY', projectId);
    const manager = await api.tokenFor('GROUP_CLUSTER_MANAGER', projectId);
    const stranger = await api.tokenFor('GROUP_OWNER', await newProject(stage));
    const status = async (method: string, rest: string, token?: string): Promise<number> =>
      (await api.request(method, `${path()}${rest}`, { ...(token && { token }), ...(method === 'PATCH' && { body: {} }) })).status;
    expect([await status('GET', '', reader), await status('GET', '/awsKms/status', reader)]).toEqual([200, 200]);
    expect([await status('PATCH', '', reader), await status('POST', '/awsKms:check', reader)]).toEqual([403, 403]);
    expect([await status('PATCH', '', manager), await status('POST', '/awsKms:check', manager)]).toEqual([403, 200]);
    for (const token of [stranger, undefined]) {
      expect([401, 403, 404]).toContain(await status('GET', '', token));
      expect([401, 403, 404]).toContain(await status('POST', '/awsKms:check', token));
    }
  });

  it('a deleted project has no key configuration any more', async () => {
    await configure();
    const deletedAt = stage.clock.now().toISOString();
    await stage.deliver(projectDeleted, projectState({ id: projectId, deletedAt, revision: 2 }));
    await stage.deliver(projectCreated, projectState({ id: projectId, revision: 1 }));
    expect(await get()).toMatchObject({ status: 404, body: { errorCode: 'GROUP_NOT_FOUND' } });
    expect((await patchAws(newKey().fields)).status).toBe(404);
    expect(await stage.eventNames(projectId)).toEqual(['saved', 'removed']);
  });

  it('a project deleted while its first key is proven gets none', async () => {
    const { fields } = newKey();
    const deletedAt = stage.clock.now().toISOString();
    stage.beforeUnwrap = async () => {
      stage.beforeUnwrap = () => Promise.resolve();
      await stage.deliver(projectDeleted, projectState({ id: projectId, deletedAt, revision: 2 }));
    };
    expect(await patchAws(fields)).toMatchObject({ status: 404, body: { errorCode: 'GROUP_NOT_FOUND' } });
    expect(await new KeyConfigurationRepository(stage.database).find(projectId, 'AWS')).toBeNull();
    expect(await stage.eventNames(projectId)).toEqual([]);
  });
});

/** Well-formed fields of a key that nobody has. */
function newFields() {
  const customerMasterKeyID = '1234abcd-12ab-34cd-56ef-1234567890ab';
  return {
    enabled: true,
    customerMasterKeyID,
    region: 'US_EAST_1',
    accessKeyID: 'AKIAIOSFODNN7EXAMPLE',
    secretAccessKey: 'not-a-real-secret',
  };
}
