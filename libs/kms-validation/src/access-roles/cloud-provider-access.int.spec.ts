import { AccessRoleSchema, AccessRolesSchema, projectDeleted } from '@atrest/contracts';
import { definitive, transient, usable } from '@atrest/kms';
import { FakeKeyProvider, FakeKms } from '@atrest/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { KeyReference } from '../key-access.js';
import type { KmsValidationService } from '../kms-validation.service.js';
import { Api, type ApiAnswer } from '../test-support/api.contract.js';
import { newProject, projectState, Stage } from '../test-support/stage.contract.js';
import type { AwsRoleProof } from './cloud-provider-access.js';

const ARN = 'arn:aws:iam::111122223333:role/atrest';
const UUID = '0f8fad5b-d9cb-469f-a165-70867728950e';
const KEY = '1234abcd-12ab-34cd-56ef-1234567890ab';

describe('cloudProviderAccess over HTTP', () => {
  const kms = new FakeKms();
  const references: KeyReference[] = [];
  let proof: Awaited<ReturnType<AwsRoleProof>>;
  let proven: Parameters<AwsRoleProof>[0][];
  let stage: Stage;
  let service: KmsValidationService;
  let api: Api;
  let projectId: string;
  let owner: string;

  beforeAll(async () => {
    kms.createKey(KEY);
    const connect = (key: KeyReference): FakeKeyProvider => {
      references.push(key);
      return new FakeKeyProvider(kms, KEY, key.provider);
    };
    stage = await Stage.open('cloud provider access', {
      providerFactories: { AWS: connect, AZURE: connect, GCP: connect },
      service: {
        identities: {
          awsPrincipalArn: 'arn:aws:iam::999988887777:role/atrest',
          azureAppId: UUID,
          gcpServiceAccount: 'atrest@p.iam.gserviceaccount.com',
        },
        proveAwsRole: (role) => {
          proven.push(role);
          return Promise.resolve(proof);
        },
      },
    });
    service = await stage.replica();
    api = await Api.open(stage, service);
  });
  afterAll(async () => {
    await api?.close();
    await stage?.close();
  });
  beforeEach(async () => {
    proof = usable();
    proven = [];
    projectId = await newProject(stage);
    owner = await api.tokenFor('GROUP_OWNER', projectId);
  });

  const call = (method: string, rest = '', body?: unknown, token = owner): Promise<ApiAnswer> =>
    api.request(method, `/groups/${projectId}/cloudProviderAccess${rest}`, { token, ...(body !== undefined && { body }) });
  const authorise = (roleId: string, iamAssumedRoleArn = ARN): Promise<ApiAnswer> =>
    call('PATCH', `/${roleId}`, { providerName: 'AWS', iamAssumedRoleArn });
  const enable = (roleId: string): Promise<ApiAnswer> =>
    api.request('PATCH', `/groups/${projectId}/encryptionAtRest`, {
      token: owner,
      body: { awsKms: { enabled: true, customerMasterKeyID: KEY, region: 'US_EAST_1', roleId } },
    });

  it('what Terraform does with an AWS role: set up, authorise, use, give back', async () => {
    const made = await call('POST', '', { providerName: 'AWS' });
    expect(AccessRoleSchema.parse(made.body)).toEqual(made.body);
    expect(made).toMatchObject({
      status: 200,
      body: { providerName: 'AWS', iamAssumedRoleArn: null, authorizedDate: null, featureUsages: [] },
    });
    const { roleId, atlasAssumedRoleExternalId: externalId } = made.body as { roleId: string; atlasAssumedRoleExternalId: string };
    expect(await enable(roleId)).toMatchObject({
      status: 400,
      body: { errorCode: 'CLOUD_PROVIDER_ACCESS_ROLE_NOT_AUTHORIZED', parameters: [roleId] },
    });

    expect(await authorise(roleId)).toMatchObject({ status: 200, body: { iamAssumedRoleArn: ARN, authorizedDate: expect.any(String) } });
    expect(proven).toMatchObject([{ roleArn: ARN, externalId }]);
    expect(await enable(roleId)).toMatchObject({ status: 200, body: { awsKms: { roleId, accessKeyID: null, valid: true } } });
    expect(references.at(-1)!.credentials).toEqual({ kind: 'role', role: { provider: 'AWS', roleId, roleArn: ARN, externalId } });

    const listed = await call('GET');
    expect(AccessRolesSchema.parse(listed.body)).toEqual(listed.body);
    expect(listed.body.awsIamRoles).toMatchObject([{ roleId, featureUsages: [{ featureType: 'ENCRYPTION_AT_REST' }] }]);
    expect(await call('DELETE', `/AWS/${roleId}`)).toMatchObject({ status: 409, body: { errorCode: 'CLOUD_PROVIDER_ACCESS_ROLE_IN_USE' } });
    expect(await authorise(roleId, `${ARN}-2`)).toMatchObject({ status: 409 });
    await api.request('PATCH', `/groups/${projectId}/encryptionAtRest`, { token: owner, body: { awsKms: { enabled: false } } });
    expect((await call('DELETE', `/AWS/${roleId}`)).status).toBe(204);
    expect((await call('GET', `/${roleId}`)).status).toBe(404);
  });

  it('a role that cannot be assumed is not stored, with the code that Terraform tries again for', async () => {
    const { roleId } = (await call('POST', '', { providerName: 'AWS' })).body as { roleId: string };
    proof = definitive('ACCESS_DENIED', { errorName: 'AccessDenied' });
    expect(await authorise(roleId)).toMatchObject({ status: 400, body: { errorCode: 'CANNOT_ASSUME_ROLE', parameters: [ARN] } });
    proof = transient('TIMEOUT');
    expect(await authorise(roleId)).toMatchObject({ status: 503 });
    expect(await authorise(roleId, 'arn:aws:s3:::bucket/not-a-role')).toMatchObject({
      status: 400,
      body: { errorCode: 'INVALID_ATTRIBUTE' },
    });
    expect((await call('GET', `/${roleId}`)).body).toMatchObject({ iamAssumedRoleArn: null, authorizedDate: null });
  });

  it('each role has an external id of its own, and no project can use another’s role', async () => {
    const [a, b] = [await call('POST', '', { providerName: 'AWS' }), await call('POST', '', { providerName: 'AWS' })];
    expect(a.body.atlasAssumedRoleExternalId).not.toBe(b.body.atlasAssumedRoleExternalId);
    await authorise(a.body.roleId as string);
    projectId = await newProject(stage);
    owner = await api.tokenFor('GROUP_OWNER', projectId);
    expect((await call('GET', `/${a.body.roleId}`)).status).toBe(404);
    expect((await authorise(a.body.roleId as string)).status).toBe(404);
    expect(await enable(a.body.roleId as string)).toMatchObject({ body: { errorCode: 'CLOUD_PROVIDER_ACCESS_ROLE_NOT_AUTHORIZED' } });
    expect((await call('GET')).body).toEqual({ awsIamRoles: [], azureServicePrincipals: [], gcpServiceAccounts: [] });
  });

  it('an Azure service principal has _id, a Google service account a status', async () => {
    const azure = await call('POST', '', { providerName: 'AZURE', atlasAzureAppId: UUID, servicePrincipalId: UUID, tenantId: UUID });
    expect(AccessRoleSchema.parse(azure.body)).toEqual(azure.body);
    expect(azure.body._id).toMatch(/^[a-f0-9]{24}$/);
    const google = await call('POST', '', { providerName: 'GCP' });
    expect(google.body).toMatchObject({ status: 'COMPLETE', gcpServiceAccountForAtlas: 'atrest@p.iam.gserviceaccount.com' });
    const body = {
      googleCloudKms: {
        enabled: true,
        keyVersionResourceID: 'projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1',
        roleId: google.body.roleId as string,
      },
    };
    expect(await api.request('PATCH', `/groups/${projectId}/encryptionAtRest`, { token: owner, body })).toMatchObject({
      status: 200,
      body: { googleCloudKms: { roleId: google.body.roleId, valid: true } },
    });
    expect(await call('POST', '', { providerName: 'AZURE' })).toMatchObject({ body: { errorCode: 'MISSING_ATTRIBUTES' } });
    expect(await call('POST', '', { providerName: 'AWS', roleId: 'x' })).toMatchObject({ body: { errorCode: 'INVALID_ATTRIBUTE' } });
  });

  it('is for owners; a deleted project takes its roles along', async () => {
    expect((await call('POST', '', { providerName: 'AWS' }, await api.tokenFor('GROUP_READ_ONLY', projectId))).status).toBe(403);
    await call('POST', '', { providerName: 'AWS' });
    const deletedAt = stage.clock.now().toISOString();
    await stage.deliver(projectDeleted, projectState({ id: projectId, deletedAt, revision: 2 }));
    expect(await stage.database.query('SELECT id FROM access_role WHERE project_id = $1', [projectId])).toEqual([]);
    expect((await call('POST', '', { providerName: 'AWS' })).status).toBe(404);
  });

  it('what the operator gave no identity for is not offered', async () => {
    const plain = await stage.replica('plain', { identities: {} });
    expect(await plain.cloudProviderAccess.create(projectId, { providerName: 'GCP' })).toMatchObject({
      kind: 'refused',
      refusal: { code: 'FEATURE_UNSUPPORTED' },
    });
  });
});
