import { EncryptionAtRestSchema, type KeyProviderName } from '@atrest/contracts';
import { FakeKeyProvider, FakeKms, FakeKmsError } from '@atrest/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ProviderFactory } from './key-access.js';
import type { KmsValidationService } from './kms-validation.service.js';
import { bindingOf } from './providers/bindings.js';
import type { ProviderAttribute } from './providers/provider-binding.js';
import { textOf } from './providers/provider-binding.js';
import { Api, type ApiAnswer } from './test-support/api.contract.js';
import { newProject, Stage } from './test-support/stage.contract.js';

const UUID = '0f8fad5b-d9cb-469f-a165-70867728950e';
const PEM = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n';
const SECRET = 'a-secret-that-must-not-show';

interface Example {
  readonly provider: KeyProviderName;
  readonly attribute: ProviderAttribute;
  /** All fields of a first enabling for a key of this name, without the secret. */
  readonly fields: (key: string) => Record<string, unknown>;
  readonly secret: Readonly<Record<string, string>>;
  /** The field that names the key. */
  readonly keyField: string;
  /** A change that needs the secret again. */
  readonly identity: Readonly<Record<string, unknown>> | null;
  readonly malformed: readonly (readonly [field: string, value: unknown, errorCode: string])[];
  readonly codes: Readonly<Record<'KEY_DISABLED' | 'KEY_NOT_FOUND' | 'ACCESS_DENIED' | 'CREDENTIALS_INVALID', string>>;
}

const version = (key: string): string => Buffer.from(key).toString('hex').padEnd(32, '0').slice(0, 32);

const EXAMPLES: readonly Example[] = [
  {
    provider: 'AZURE',
    attribute: 'azureKeyVault',
    fields: (key) => ({
      azureEnvironment: 'AZURE',
      clientID: UUID,
      tenantID: UUID,
      subscriptionID: UUID,
      resourceGroupName: 'keys',
      keyVaultName: 'orders-vault',
      keyIdentifier: `https://orders-vault.vault.azure.net/keys/orders/${version(key)}`,
    }),
    secret: { secret: SECRET },
    keyField: 'keyIdentifier',
    identity: { clientID: UUID.replace('0', '1') },
    malformed: [
      ['keyIdentifier', 'arn:aws:kms:eu-west-1:111122223333:key/1', 'AZURE_KEY_VAULT_KEY_IDENTIFIER_INVALID_FORMAT'],
      ['keyIdentifier', 'https://orders-vault.vault.azure.net/keys/orders', 'AZURE_KEY_VAULT_KEY_IDENTIFIER_INVALID_FORMAT'],
      ['keyIdentifier', `https://169.254.169.254/keys/orders/${version('a')}`, 'AZURE_KEY_VAULT_KEY_IDENTIFIER_INVALID_FORMAT'],
      ['keyVaultName', 'another-vault', 'AZURE_KEY_VAULT_KEY_IDENTIFIER_INVALID_FORMAT'],
      ['tenantID', 'contoso', 'INVALID_ATTRIBUTE'],
      ['azureEnvironment', 'AZURE_MOON', 'INVALID_ENUM_VALUE'],
    ],
    codes: {
      KEY_DISABLED: 'AZURE_KEY_VAULT_KEY_NOT_ENABLED',
      KEY_NOT_FOUND: 'AZURE_KEY_VAULT_KEY_NOT_FOUND',
      ACCESS_DENIED: 'NO_PERMISSION_TO_ENCRYPT_DECRYPT',
      CREDENTIALS_INVALID: 'INVALID_AZURE_CREDENTIALS',
    },
  },
  {
    provider: 'GCP',
    attribute: 'googleCloudKms',
    fields: (key) => ({
      keyVersionResourceID: `projects/p/locations/europe-west3/keyRings/r/cryptoKeys/${version(key)}/cryptoKeyVersions/1`,
    }),
    secret: { serviceAccountKey: JSON.stringify({ type: 'service_account', private_key: SECRET }) },
    keyField: 'keyVersionResourceID',
    identity: null,
    malformed: [
      ['keyVersionResourceID', 'projects/p/locations/l/keyRings/r/cryptoKeys/k', 'INVALID_ATTRIBUTE'],
      ['keyVersionResourceID', 'alias/orders', 'INVALID_ATTRIBUTE'],
      ['serviceAccountKey', 'not JSON', 'INVALID_GOOGLE_CLOUD_CREDENTIALS'],
    ],
    codes: {
      KEY_DISABLED: 'GOOGLE_CLOUD_KMS_KEY_VERSION_DISABLED',
      KEY_NOT_FOUND: 'GOOGLE_CLOUD_KMS_KEY_VERSION_NOT_FOUND',
      ACCESS_DENIED: 'NO_PERMISSION_TO_ENCRYPT_DECRYPT',
      CREDENTIALS_INVALID: 'INVALID_GOOGLE_CLOUD_CREDENTIALS',
    },
  },
  {
    provider: 'KMIP',
    attribute: 'kmip',
    fields: (key) => ({ hosts: ['kmip-1.example.com', '10.1.2.3'], port: 5697, caCertificate: PEM, keyIdentifier: key }),
    secret: { clientCertificate: `${PEM}-----BEGIN PRIVATE KEY-----\n${SECRET}\n-----END PRIVATE KEY-----\n` },
    keyField: 'keyIdentifier',
    identity: { hosts: ['kmip-2.example.com'] },
    malformed: [
      ['hosts', ['127.0.0.1'], 'INVALID_ATTRIBUTE'],
      ['hosts', ['::ffff:127.0.0.1'], 'INVALID_ATTRIBUTE'],
      ['hosts', ['169.254.169.254'], 'INVALID_ATTRIBUTE'],
      ['hosts', ['kmip.localhost'], 'INVALID_ATTRIBUTE'],
      ['hosts', ['https://kmip-1.example.com'], 'INVALID_ATTRIBUTE'],
      ['port', 0, 'INVALID_ATTRIBUTE'],
      ['caCertificate', 'DER', 'INVALID_ATTRIBUTE'],
      ['keyIdentifier', 'key ', 'INVALID_ATTRIBUTE'],
      ['clientCertificate', PEM, 'INVALID_ATTRIBUTE'],
    ],
    codes: {
      KEY_DISABLED: 'ENCRYPTION_AT_REST_SETTINGS_INVALID',
      KEY_NOT_FOUND: 'ENCRYPTION_AT_REST_SETTINGS_INVALID',
      ACCESS_DENIED: 'NO_PERMISSION_TO_ENCRYPT_DECRYPT',
      CREDENTIALS_INVALID: 'ENCRYPTION_AT_REST_SETTINGS_INVALID',
    },
  },
];

describe.each(EXAMPLES)('$attribute over HTTP', ({ provider, attribute, fields, secret, keyField, identity, malformed, codes }) => {
  const kms = new FakeKms();
  let stage: Stage;
  let service: KmsValidationService;
  let api: Api;
  let projectId: string;
  let owner: string;

  // A key of the fake has the name that the settings of the provider give it.
  const factory: ProviderFactory = ({ settings }) => new FakeKeyProvider(kms, textOf(settings, keyField), provider);

  beforeAll(async () => {
    stage = await Stage.open(`provider ${provider}`, { providerFactories: { [provider]: factory } });
    service = await stage.replica();
    api = await Api.open(stage, service);
  });
  afterAll(async () => {
    await api?.close();
    await stage?.close();
  });
  beforeEach(async () => {
    kms.recover();
    projectId = await newProject(stage);
    owner = await api.tokenFor('GROUP_OWNER', projectId);
  });

  const path = (): string => `/groups/${projectId}/encryptionAtRest`;
  const patch = (change: unknown): Promise<ApiAnswer> => api.request('PATCH', path(), { token: owner, body: { [attribute]: change } });
  const get = (): Promise<ApiAnswer> => api.request('GET', path(), { token: owner });
  let names = 0;
  function newKey(): { id: string; fields: Record<string, unknown> } {
    names += 1;
    const named = fields(`key-${names}`);
    return { id: kms.createKey(String(named[keyField])), fields: named };
  }
  const first = (key: ReturnType<typeof newKey>) => ({ enabled: true, ...key.fields, ...secret });

  it('the first enabling needs every field, proves the key and never shows the secret', async () => {
    const key = newKey();
    for (const field of [...Object.keys(key.fields), ...Object.keys(secret), 'enabled']) {
      if (field in bindingOf(provider).defaults) continue;
      expect(await patch({ ...first(key), [field]: null })).toMatchObject({
        status: 400,
        body: { errorCode: 'MISSING_ATTRIBUTE', parameters: [field] },
      });
    }
    const answer = await patch(first(key));
    expect(answer).toMatchObject({ status: 200, body: { [attribute]: { ...key.fields, enabled: true, valid: true } } });
    expect(EncryptionAtRestSchema.parse(answer.body)).toEqual(answer.body);
    expect((await get()).body).toEqual(answer.body);
    const [saved] = await stage.events(projectId);
    expect(saved).toMatchObject({ name: 'saved', data: { provider, keyId: key.fields[keyField], resolvedKeyId: key.id, epoch: 1 } });
    for (const place of [JSON.stringify(answer.body), JSON.stringify(saved), await stage.rawConfigurations(), stage.logLines.join('\n')]) {
      expect(place).not.toContain(SECRET);
    }
  });

  it('a later PATCH carries only what changes; the object that was read, sent back, changes nothing', async () => {
    const key = newKey();
    await patch(first(key));
    const read = (await get()).body;
    const calls = kms.calls.length;
    expect(await api.request('PATCH', path(), { token: owner, body: read })).toMatchObject({ status: 200, body: read });
    expect(kms.calls).toHaveLength(calls);
    const other = newKey();
    expect(await patch({ [keyField]: other.fields[keyField] })).toMatchObject({
      status: 200,
      body: { [attribute]: { ...key.fields, [keyField]: other.fields[keyField] } },
    });
    if (identity !== null) {
      const [needed] = Object.keys(secret);
      expect(await patch(identity)).toMatchObject({ status: 400, body: { errorCode: 'MISSING_ATTRIBUTE', parameters: [needed] } });
      expect(await patch({ ...identity, ...secret })).toMatchObject({ status: 200, body: { [attribute]: identity } });
    }
    const events = await stage.events(projectId);
    expect(events.map(({ name, data }) => `${name} ${data.epoch}`)).toEqual([
      'saved 1',
      'saved 2',
      'rotated 2',
      ...(identity === null ? [] : ['saved 2']),
    ]);
  });

  it('disabling one that was never configured succeeds, and one that was takes it away', async () => {
    expect(await patch({ enabled: false })).toMatchObject({ status: 200, body: { [attribute]: { enabled: false, valid: false } } });
    await patch(first(newKey()));
    const off = await patch({ enabled: false });
    expect(Object.values(off.body[attribute] as object).filter((value) => value !== null && value !== false)).toEqual([]);
    expect(await stage.eventNames(projectId)).toEqual(['saved', 'removed']);
  });

  it.each(malformed)('F85 F90 %s %j is refused before anybody is asked', async (field, value, errorCode) => {
    const calls = kms.calls.length;
    expect(await patch({ ...first(newKey()), [field]: value })).toMatchObject({ status: 400, body: { errorCode } });
    expect(kms.calls).toHaveLength(calls);
  });

  it.each(Object.entries(codes) as [keyof typeof codes, string][])(
    '%s: nothing is stored, and the code is %s',
    async (reason, errorCode) => {
      kms.fail(new FakeKmsError('FakeError', reason, 'definitive'));
      expect(await patch(first(newKey()))).toMatchObject({ body: { errorCode, parameters: [reason] } });
      kms.recover();
      expect((await get()).body[attribute]).toMatchObject({ enabled: false });
    },
  );

  it('a KMS that cannot be asked is no refusal of the settings', async () => {
    kms.fail(new FakeKmsError('FakeTimeout', 'TIMEOUT', 'transient'));
    expect(await patch(first(newKey()))).toMatchObject({ status: 503, body: { errorCode: 'SERVICE_UNAVAILABLE' } });
  });

  it('its key is checked: ‘try again’, status with evidence, history; confirmed it is INVALID, and one proof makes it VALID', async () => {
    const key = newKey();
    await patch(first(key));
    const check = async (): Promise<ApiAnswer> => api.request('POST', `${path()}/${attribute}:check`, { token: owner });
    expect((await check()).body).toMatchObject({ provider, verdict: 'usable', state: 'VALID', keyId: key.fields[keyField] });
    kms.setState(key.id, 'DISABLED');
    for (let again = 0; again < 3; again += 1) {
      await check();
      stage.clock.advance(7_000);
    }
    const status = await api.request('GET', `${path()}/${attribute}/status`, { token: owner });
    expect(status.body).toMatchObject({ state: 'INVALID', valid: false, evidence: [{ errorName: 'FakeDisabled' }, {}, {}] });
    expect((await get()).body[attribute]).toMatchObject({ enabled: true, valid: false });
    kms.setState(key.id, 'ENABLED');
    expect((await check()).body).toMatchObject({ verdict: 'usable', state: 'VALID' });
    const history = await api.request('GET', `${path()}/${attribute}/history`, { token: owner });
    expect(history.body.changes).toMatchObject([
      { from: 'INVALID', to: 'VALID' },
      { from: 'SUSPECT', to: 'INVALID' },
      { from: 'VALID', to: 'SUSPECT' },
    ]);
    expect(await stage.eventNames(projectId)).toEqual(['saved', 'invalidated', 'validated']);
  });

  it('no sequence of transient answers stops anything', async () => {
    await patch(first(newKey()));
    kms.fail(new FakeKmsError('FakeThrottled', 'THROTTLED', 'transient'));
    for (let check = 0; check < 20; check += 1) await stage.tick(service);
    expect((await get()).body[attribute]).toMatchObject({ valid: true });
    expect(await stage.eventNames(projectId)).toEqual(['saved', 'became-unreachable']);
  });

  it('settings of two providers are stored together or not at all', async () => {
    const aws = {
      enabled: true,
      customerMasterKeyID: 'alias/none',
      region: 'US_EAST_1',
      accessKeyID: 'AKIAIOSFODNN7EXAMPLE',
      secretAccessKey: 'x',
    };
    const body = { [attribute]: first(newKey()), awsKms: aws };
    expect((await api.request('PATCH', path(), { token: owner, body })).status).toBe(400);
    expect((await get()).body[attribute]).toMatchObject({ enabled: false });
    expect(await stage.eventNames(projectId)).toEqual([]);
  });
});
