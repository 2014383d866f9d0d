import 'reflect-metadata';
import { createSign, KeyObject, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { createLocalJWKSet, exportJWK, generateKeyPair, SignJWT, type CryptoKey } from 'jose';
import { FakeKeyProvider, FakeKms } from '@atrest/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ProviderFactory } from '../key-access.js';
import type { KmsValidationService } from '../kms-validation.service.js';
import { textOf } from '../providers/provider-binding.js';
import { Api, type ApiAnswer } from '../test-support/api.contract.js';
import {
  newConfiguredProject,
  newProject,
  Stage,
  START,
  statusOf,
  valueOf,
  type ConfiguredProject,
} from '../test-support/stage.contract.js';
import { textToSign, type SnsMessage } from './sns-message.js';

const TOPIC = 'arn:aws:sns:eu-central-1:111122223333:kms';
const CERTIFICATE = 'https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem';
const EVENT_KEY = 'a-key-that-event-grid-sends';
const AUDIENCE = 'https://atrest.example/kms-events/gcp';
const PUSHER = 'push@p.iam.gserviceaccount.com';

/** Signs as Amazon SNS does. */
async function snsSigner(): Promise<{ certificate: string; privateKey: KeyObject }> {
  const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', publicExponent: new Uint8Array([1, 0, 1]), modulusLength: 2048 };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=sns.amazonaws.com',
    notBefore: new Date(START.getTime() - 86_400_000),
    notAfter: new Date(START.getTime() + 86_400_000),
    signingAlgorithm: algorithm,
    keys,
  });
  return { certificate: certificate.toString('pem'), privateKey: KeyObject.from(keys.privateKey) };
}

describe('notifications of KMSs', () => {
  const kms = new FakeKms();
  let stage: Stage;
  let service: KmsValidationService;
  let api: Api;
  let signer: Awaited<ReturnType<typeof snsSigner>>;
  let googleKey: CryptoKey;
  let fetched: string[];
  let project: ConfiguredProject;

  beforeAll(async () => {
    signer = await snsSigner();
    const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true });
    googleKey = privateKey;
    const keys = createLocalJWKSet({ keys: [{ ...(await exportJWK(publicKey)), kid: 'google', alg: 'RS256' }] });
    const connect =
      (field: string): ProviderFactory =>
      ({ settings, provider }) =>
        new FakeKeyProvider(kms, textOf(settings, field), provider);
    stage = await Stage.open('kms events', {
      providerFactories: { AZURE: connect('keyIdentifier'), GCP: connect('keyVersionResourceID') },
      service: {
        push: {
          aws: { topicArns: [TOPIC] },
          azure: { key: EVENT_KEY },
          gcp: {
            tokens: { issuers: ['https://accounts.google.com'], audience: AUDIENCE, claims: { email: PUSHER, email_verified: true }, keys },
          },
        },
        fetchText: (url) => {
          fetched.push(url.href);
          return Promise.resolve(signer.certificate);
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
    fetched = [];
    project = await newConfiguredProject(stage, service);
  });

  const post = async (provider: string, body: unknown, headers: Record<string, string> = {}): Promise<ApiAnswer> => {
    const response = await fetch(`${api.url}/kms-events/${provider}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
    return { status: response.status, headers: response.headers, body: await response.json() };
  };
  const dueAt = async (projectId = project.projectId): Promise<string> => (await statusOf(service, projectId)).nextCheckAt;
  const now = (): string => `${stage.clock.now().toISOString().slice(0, 19)}Z`;

  function sns(change: Partial<SnsMessage> = {}): SnsMessage {
    const event = {
      source: 'aws.kms',
      'detail-type': 'AWS API Call via CloudTrail',
      resources: [],
      detail: {
        eventName: 'DisableKey',
        requestParameters: { keyId: project.keyId },
        resources: [{ ARN: project.arn, type: 'AWS::KMS::Key' }],
      },
    };
    const message: SnsMessage = {
      Type: 'Notification',
      MessageId: '1',
      TopicArn: TOPIC,
      Message: JSON.stringify(event),
      Timestamp: stage.clock.now().toISOString(),
      SignatureVersion: '2',
      Signature: '',
      SigningCertURL: CERTIFICATE,
      ...change,
    };
    const sign = createSign(message.SignatureVersion === '1' ? 'RSA-SHA1' : 'RSA-SHA256').update(textToSign(message));
    return { ...message, Signature: change.Signature ?? sign.sign(signer.privateKey, 'base64') };
  }

  it.each(['1', '2'] as const)(
    'AWS: a signed message (version %s) makes the check of the key due at once, and decides nothing',
    async (version) => {
      const other = await newConfiguredProject(stage, service);
      const before = await dueAt(other.projectId);
      expect(await dueAt()).not.toBe(now());
      expect(await post('aws', sns({ SignatureVersion: version }))).toMatchObject({ status: 200, body: {} });
      expect([await dueAt(), await dueAt(other.projectId)]).toEqual([now(), before]);
      expect(await statusOf(service, project.projectId)).toMatchObject({ state: 'VALID', evidence: [{ verdict: 'usable' }] });
      expect(await service.monitor.runDue()).toBeGreaterThan(0);
      expect(await stage.eventNames(project.projectId)).toEqual(['saved']);
    },
  );

  it('AWS: a message comes as text/plain, as SNS sends all of them, and nothing else may', async () => {
    const asSent = { 'content-type': 'text/plain; charset=UTF-8', 'x-amz-sns-message-type': 'Notification' };
    expect(await post('aws', sns(), asSent)).toMatchObject({ status: 200, body: {} });
    expect(await dueAt()).toBe(now());
    for (const provider of ['azure', 'gcp']) {
      expect(await post(provider, {}, asSent)).toMatchObject({ status: 415, body: { errorCode: 'UNSUPPORTED_MEDIA_TYPE' } });
    }
  });

  it.each<[string, () => SnsMessage]>([
    ['a wrong signature', () => ({ ...sns(), Message: '{}' })],
    ['another topic, signed as well', () => sns({ TopicArn: `${TOPIC}-of-somebody-else` })],
    ['an old message', () => sns({ Timestamp: new Date(stage.clock.now().getTime() - 2 * 3_600_000).toISOString() })],
    [
      'F90 a certificate of somebody else',
      () => sns({ SigningCertURL: 'https://evil.example/SimpleNotificationService-0123456789abcdef.pem' }),
    ],
    [
      'F90 a host that only looks like SNS',
      () => sns({ SigningCertURL: CERTIFICATE.replace('amazonaws.com', 'amazonaws.com.evil.example') }),
    ],
    [
      'F90 a certificate inside our network',
      () => sns({ SigningCertURL: 'https://169.254.169.254/SimpleNotificationService-0123456789abcdef.pem' }),
    ],
    ['F90 a bucket of anybody', () => sns({ SigningCertURL: CERTIFICATE.replace('sns.', 's3.') })],
    ['F90 a user name before the host', () => sns({ SigningCertURL: CERTIFICATE.replace('https://', 'https://evil@') })],
    ['F90 a certificate over http', () => sns({ SigningCertURL: CERTIFICATE.replace('https', 'http') })],
    ['F90 another file of SNS', () => sns({ SigningCertURL: CERTIFICATE.replace('SimpleNotificationService-', '') })],
  ])('AWS: %s is refused, and only certificates of SNS are ever fetched', async (_, message) => {
    const before = await dueAt();
    expect((await post('aws', message())).status).toBe(401);
    expect(await dueAt()).toBe(before);
    expect(fetched.filter((url) => url !== CERTIFICATE)).toEqual([]);
  });

  it('AWS: a subscription of the expected topic is confirmed, at SNS only', async () => {
    const confirm = 'https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=x&Token=y';
    const asked = { Type: 'SubscriptionConfirmation', Token: 'y', SubscribeURL: confirm } as const;
    expect((await post('aws', sns(asked))).status).toBe(200);
    expect(fetched).toContain(confirm);
    const elsewhere = sns({ ...asked, SubscribeURL: 'https://evil.example/?Action=ConfirmSubscription' });
    expect((await post('aws', elsewhere)).status).toBe(401);
    expect(fetched.some((url) => url.includes('evil'))).toBe(false);
  });

  it('Azure: the handshake is answered and events of a vault make checks due, for whoever has the key', async () => {
    const uuid = '0f8fad5b-d9cb-469f-a165-70867728950e';
    const keyIdentifier = `https://orders-vault.vault.azure.net/keys/orders/${'a'.repeat(32)}`;
    kms.createKey(keyIdentifier);
    const projectId = await newProject(stage);
    const azureKeyVault = {
      enabled: true,
      azureEnvironment: 'AZURE' as const,
      clientID: uuid,
      tenantID: uuid,
      subscriptionID: uuid,
      resourceGroupName: 'keys',
      keyVaultName: 'orders-vault',
      keyIdentifier,
      secret: 'secret',
    };
    valueOf(await service.useCases.change(projectId, { azureKeyVault }));
    // The fake resolves names to ids of its own; in the cloud the name is the id.
    await stage.database.query(
      `UPDATE key_configuration SET canary = jsonb_set(canary, '{blob,resolvedKeyId}', to_jsonb($2::text)) WHERE project_id = $1`,
      [projectId, keyIdentifier],
    );
    const key = { 'x-atrest-event-key': EVENT_KEY };
    const handshake = [{ eventType: 'Microsoft.EventGrid.SubscriptionValidationEvent', data: { validationCode: 'c0de' } }];
    expect((await post('azure', handshake)).status).toBe(401);
    expect((await post('azure', handshake, { 'x-atrest-event-key': 'guess' })).status).toBe(401);
    expect(await post('azure', handshake, key)).toMatchObject({ status: 200, body: { validationResponse: 'c0de' } });
    const event = {
      eventType: 'Microsoft.KeyVault.KeyNearExpiry',
      data: { Id: keyIdentifier, VaultName: 'orders-vault', ObjectName: 'orders' },
    };
    expect((await post('azure', [event], key)).status).toBe(200);
    expect(valueOf(await service.useCases.status(projectId, 'AZURE')).nextCheckAt).toBe(now());
  });

  describe('Google Cloud', () => {
    const push = (resourceName: string) => ({
      message: {
        data: Buffer.from(JSON.stringify({ protoPayload: { methodName: 'DestroyCryptoKeyVersion', resourceName } })).toString('base64'),
      },
    });
    const token = async (
      claims: Record<string, unknown> = {},
      audience = AUDIENCE,
      issuer = 'https://accounts.google.com',
    ): Promise<string> => {
      const seconds = Math.floor(stage.clock.now().getTime() / 1_000);
      return new SignJWT({ email: PUSHER, email_verified: true, ...claims })
        .setProtectedHeader({ alg: 'RS256', kid: 'google' })
        .setIssuer(issuer)
        .setAudience(audience)
        .setIssuedAt(seconds)
        .setExpirationTime(seconds + 3_600)
        .sign(googleKey);
    };

    it('a message with the token of the expected service account makes checks of the key’s versions due', async () => {
      const cryptoKey = 'projects/p/locations/l/keyRings/r/cryptoKeys/k';
      const keyVersionResourceID = `${cryptoKey}/cryptoKeyVersions/1`;
      kms.createKey(keyVersionResourceID);
      const projectId = await newProject(stage);
      valueOf(
        await service.useCases.change(projectId, { googleCloudKms: { enabled: true, keyVersionResourceID, serviceAccountKey: '{}' } }),
      );
      await stage.database.query(
        `UPDATE key_configuration SET canary = jsonb_set(canary, '{blob,resolvedKeyId}', to_jsonb($2::text)) WHERE project_id = $1`,
        [projectId, keyVersionResourceID],
      );
      const before = valueOf(await service.useCases.status(projectId, 'GCP')).nextCheckAt;
      expect((await post('gcp', push(`${cryptoKey}-2`), { authorization: `Bearer ${await token()}` })).status).toBe(200);
      expect(valueOf(await service.useCases.status(projectId, 'GCP')).nextCheckAt).toBe(before);
      expect((await post('gcp', push(cryptoKey), { authorization: `Bearer ${await token()}` })).status).toBe(200);
      expect(valueOf(await service.useCases.status(projectId, 'GCP')).nextCheckAt).toBe(now());
    });

    it.each<[string, () => Promise<string>]>([
      ['no token', () => Promise.resolve('')],
      ['another account', () => token({ email: 'somebody@evil.iam.gserviceaccount.com' })],
      ['an address that nobody verified', () => token({ email_verified: false })],
      ['a token for somebody else', () => token({}, 'https://other.example')],
      ['another issuer', () => token({}, AUDIENCE, 'https://evil.example')],
    ])('%s is refused', async (_, make) => {
      expect((await post('gcp', push('x'), { authorization: `Bearer ${await make()}` })).status).toBe(401);
    });
  });

  it('from whom nothing is expected nothing is taken', async () => {
    const closed = await stage.replica('closed', { push: {} });
    expect(await closed.kmsEvents.ofAws(sns())).toEqual({ kind: 'refused' });
    expect(await closed.kmsEvents.ofAzure([], { eventKey: EVENT_KEY })).toEqual({ kind: 'refused' });
    expect(await closed.kmsEvents.ofGcp({}, { authorization: 'Bearer x' })).toEqual({ kind: 'refused' });
  });
});
