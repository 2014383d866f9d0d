import {
  agentTaskKeyRequested,
  keyAccessGranted,
  keyAccessRefused,
  KeyAccessSecretSchema,
  newObjectId,
  projectDeleted,
  type AgentTaskState,
  type EventEnvelope,
  type KeyAccess,
  type KeyAccessSecret,
  type KeyProviderName,
  type SealingPublicKey,
} from '@atrest/contracts';
import { FakeKeyProvider, FakeKms } from '@atrest/testing';
import { compactDecrypt, exportJWK, generateKeyPair, type CryptoKey } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ProviderFactory } from '../key-access.js';
import type { KmsValidationService } from '../kms-validation.service.js';
import { textOf } from '../providers/provider-binding.js';
import { awsOf, newConfiguredProject, newProject, projectState, Stage, valueOf } from '../test-support/stage.contract.js';

const UUID = '0f8fad5b-d9cb-469f-a165-70867728950e';
const PEM = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n';
const SECRET = 'a-secret-that-must-not-show';
const CLIENT_CERTIFICATE = `${PEM}-----BEGIN PRIVATE KEY-----\n${SECRET}\n-----END PRIVATE KEY-----\n`;
const SERVICE_ACCOUNT = JSON.stringify({ type: 'service_account', private_key: SECRET });

/** A host as its agent is: whoever has the private key can open what is sealed for it. */
interface Host {
  readonly id: string;
  readonly sealingKey: SealingPublicKey;
  readonly privateKey: CryptoKey;
}

async function newHost(): Promise<Host> {
  const { publicKey, privateKey } = await generateKeyPair('ECDH-ES', { crv: 'X25519', extractable: true });
  const { x = '' } = await exportJWK(publicKey);
  return { id: newObjectId(), sealingKey: { kty: 'OKP', crv: 'X25519', x }, privateKey };
}

async function opened(access: KeyAccess, host: Host): Promise<KeyAccessSecret> {
  const { plaintext } = await compactDecrypt(access.sealed ?? '', host.privateKey);
  return KeyAccessSecretSchema.parse(JSON.parse(new TextDecoder().decode(plaintext)));
}

const requestOf = (projectId: string, host: Host, change: Partial<AgentTaskState> = {}): AgentTaskState => ({
  id: newObjectId(),
  kind: 'take-snapshot',
  projectId,
  clusterId: newObjectId(),
  status: 'WAITING_FOR_KEY',
  hostId: host.id,
  member: 'b.example:27017',
  provider: 'AWS',
  hostSealingKey: host.sealingKey,
  progress: null,
  result: null,
  failure: null,
  at: new Date().toISOString(),
  revision: 1,
  ...change,
});

let stage: Stage;
let service: KmsValidationService;
let replica: (observer: string) => Promise<KmsValidationService>;
let host: Host;
const kms = new FakeKms();
/** Keys of the other providers are those of the fake, by the name that the settings give them. */
const fake =
  (provider: KeyProviderName, field: string): ProviderFactory =>
  ({ settings }) =>
    new FakeKeyProvider(kms, textOf(settings, field), provider);

beforeAll(async () => {
  const providerFactories = {
    AZURE: fake('AZURE', 'keyIdentifier'),
    GCP: fake('GCP', 'keyVersionResourceID'),
    KMIP: fake('KMIP', 'keyIdentifier'),
  };
  stage = await Stage.open('key access');
  const installation = stage.kms.createAccessKey({ userName: 'installation' });
  replica = (observer) =>
    stage.replica(observer, {
      awsEndpoint: stage.kms.url,
      aws: { installation, stsEndpoint: stage.kms.url },
      identities: { awsPrincipalArn: 'arn:aws:iam::111122223333:root' },
      providerFactories,
    });
  service = await replica('replica-1');
  host = await newHost();
});
afterAll(() => stage?.close());
afterEach(() => stage.kms.clearFaults());

/** Every answer so far, in order. */
async function answers(taskId?: string): Promise<KeyAccess[]> {
  const found = await stage.database.query<{ envelope: EventEnvelope<KeyAccess> }>('SELECT envelope FROM outbox ORDER BY position');
  return found
    .filter(({ envelope }) => envelope.type === keyAccessGranted.type || envelope.type === keyAccessRefused.type)
    .map(({ envelope }) => envelope.data)
    .filter((access) => taskId === undefined || access.taskId === taskId);
}

/** Asks as fleet does, twice, and has it answered. */
async function ask(request: AgentTaskState): Promise<KeyAccess> {
  await stage.deliver(agentTaskKeyRequested, request);
  await service.keyAccessAnswers.runDue();
  const given = await answers(request.id);
  if (given.length !== 1) throw new Error(`${given.length} answers`);
  return given[0]!;
}

describe('an agent that asks for access to the key of its project', () => {
  it('gets it sealed for its host only, in the name that snapshots show, and once however often it asks', async () => {
    const { projectId, arn, credentials } = await newConfiguredProject(stage, service, { alias: 'orders' });
    const request = requestOf(projectId, host);
    const access = await ask(request);
    const told = (await stage.events(projectId)).at(-1)!.data;
    expect(access).toMatchObject({
      hostId: host.id,
      projectId,
      provider: 'AWS',
      encryptionKeyId: arn,
      sealedFor: host.sealingKey,
      failure: null,
    });
    expect(access.encryptionKeyId).toBe(told.resolvedKeyId ?? told.keyId);
    expect(await opened(access, host)).toEqual({
      taskId: request.id,
      projectId,
      encryptionKeyId: arn,
      access: {
        provider: 'AWS',
        keyId: arn,
        region: 'US_EAST_1',
        accessKeyId: credentials.accessKeyId,
        secretAccessKey: credentials.secretAccessKey,
      },
    });
    await expect(opened(access, await newHost())).rejects.toThrow();
    await stage.deliver(agentTaskKeyRequested, request);
    expect(await service.keyAccessAnswers.runDue()).toBe(0);
    expect(await answers(request.id)).toHaveLength(1);

    // Another key of the host: a later request of the same task.
    const other = await newHost();
    await stage.deliver(agentTaskKeyRequested, { ...request, hostSealingKey: other.sealingKey, revision: 2 });
    await stage.deliver(agentTaskKeyRequested, request);
    await service.keyAccessAnswers.runDue();
    const [, second, ...more] = await answers(request.id);
    expect(more).toEqual([]);
    expect(second?.sealedFor).toEqual(other.sealingKey);
    expect((await opened(second!, other)).taskId).toBe(request.id);
  });

  it('gets a short session of the role in place of what the installation assumes it with', async () => {
    const projectId = await newProject(stage);
    const { roleId, externalId } = await newRole(projectId);
    const roleArn = stage.kms.createRole({ externalId });
    valueOf(await service.cloudProviderAccess.authorise(projectId, roleId, { providerName: 'AWS', iamAssumedRoleArn: roleArn }));
    await useRole(projectId, roleId);
    const secret = await opened(await ask(requestOf(projectId, host)), host);
    if (secret.access.provider !== 'AWS') throw new Error(secret.access.provider);
    const { accessKeyId, secretAccessKey, sessionToken } = secret.access;
    expect(sessionToken).toMatch(/.+/);
    const stored = `${await everythingStored()} ${stage.logLines.join('\n')}`;
    for (const text of [secretAccessKey, sessionToken!]) expect(stored).not.toContain(text);
    expect(accessKeyId).not.toBe(stage.kms.calls({ operation: 'AssumeRole' }).at(-1)?.accessKeyId);

    // The role is taken away: definitive, and said at once.
    stage.kms.deleteRole(roleArn);
    const refused = await ask(requestOf(projectId, host));
    expect(refused).toMatchObject({ sealed: null, encryptionKeyId: null, failure: { code: 'KEY_REFUSED' } });
    expect(refused.failure?.detail).toMatch(/role.*could not be assumed.*not authorized/is);
  });

  it('F08 F12 waits while STS cannot be asked, and is told so in the end', async () => {
    const projectId = await newProject(stage);
    const { roleId, externalId } = await newRole(projectId);
    valueOf(
      await service.cloudProviderAccess.authorise(projectId, roleId, {
        providerName: 'AWS',
        iamAssumedRoleArn: stage.kms.createRole({ externalId }),
      }),
    );
    await useRole(projectId, roleId);
    const fault = { kind: 'error', status: 503, name: 'ServiceUnavailable' } as const;
    stage.kms.inject(fault);
    const recovers = requestOf(projectId, host);
    await stage.deliver(agentTaskKeyRequested, recovers);
    await service.keyAccessAnswers.runDue();
    expect(await answers(recovers.id)).toEqual([]);
    expect(await service.keyAccessAnswers.runDue()).toBe(0);
    stage.kms.clearFaults();
    stage.clock.advance(15_000);
    await service.keyAccessAnswers.runDue();
    expect((await answers(recovers.id)).map((access) => access.failure)).toEqual([null]);

    stage.kms.inject(fault);
    const request = requestOf(projectId, host);
    await stage.deliver(agentTaskKeyRequested, request);
    let tries = 0;
    while ((await answers(request.id)).length === 0 && tries < 20) {
      tries += await service.keyAccessAnswers.runDue();
      stage.clock.advance(15_000);
    }
    expect(tries).toBe(6);
    const [access] = await answers(request.id);
    expect(access).toMatchObject({
      sealed: null,
      failure: { code: 'KEY_UNREACHABLE', detail: expect.stringContaining('ServiceUnavailable') },
    });
  });

  it.each([
    {
      provider: 'AZURE' as const,
      key: `https://orders-vault.vault.azure.net/keys/orders/${'a'.repeat(32)}`,
      change: (keyIdentifier: string) => ({
        azureKeyVault: {
          enabled: true,
          azureEnvironment: 'AZURE' as const,
          clientID: UUID,
          tenantID: UUID,
          subscriptionID: UUID,
          resourceGroupName: 'keys',
          keyVaultName: 'orders-vault',
          keyIdentifier,
          secret: SECRET,
        },
      }),
      access: { environment: 'AZURE', tenantId: UUID, clientId: UUID, clientSecret: SECRET },
      named: 'keyIdentifier',
    },
    {
      provider: 'GCP' as const,
      key: 'projects/p/locations/europe-west3/keyRings/r/cryptoKeys/orders/cryptoKeyVersions/1',
      change: (keyVersionResourceID: string) => ({
        googleCloudKms: { enabled: true, keyVersionResourceID, serviceAccountKey: SERVICE_ACCOUNT },
      }),
      access: { serviceAccountKey: SERVICE_ACCOUNT },
      named: 'keyVersionResourceID',
    },
    {
      provider: 'KMIP' as const,
      key: 'orders-key',
      change: (keyIdentifier: string) => ({
        kmip: {
          enabled: true,
          hosts: ['kmip-1.example.com'],
          port: 5697,
          caCertificate: PEM,
          keyIdentifier,
          clientCertificate: CLIENT_CERTIFICATE,
        },
      }),
      access: { hosts: ['kmip-1.example.com'], port: 5697, caCertificate: PEM, clientCertificate: CLIENT_CERTIFICATE },
      named: 'keyId',
    },
  ])(
    'gets the key in $provider as it is configured; nothing of it is in events, logs or rows',
    async ({ provider, key, change, access, named }) => {
      const projectId = await newProject(stage);
      kms.createKey(key);
      valueOf(await service.useCases.change(projectId, change(key)));
      const given = await ask(requestOf(projectId, host, { provider }));
      expect((await opened(given, host)).access).toEqual({ provider, [named]: key, ...access });
      expect(given.encryptionKeyId).toBe((await stage.events(projectId)).at(-1)!.data.resolvedKeyId);
      const stored = `${await everythingStored()} ${stage.logLines.join('\n')}`;
      expect(stored).toContain(given.taskId);
      expect(stored).not.toContain(SECRET);
    },
  );

  it('is refused at once where nothing is configured, where the provider is another, and when the project is gone', async () => {
    const projectId = await newProject(stage);
    expect(await ask(requestOf(projectId, host))).toMatchObject({ sealed: null, failure: { code: 'KEY_REFUSED' } });
    const configured = await newConfiguredProject(stage, service);
    const other = await ask(requestOf(configured.projectId, host, { provider: 'GCP' }));
    expect(other.failure).toMatchObject({ code: 'KEY_REFUSED', detail: expect.stringContaining('Google') });
    await stage.deliver(
      projectDeleted,
      projectState({ id: configured.projectId, deletedAt: stage.clock.now().toISOString(), revision: 9 }),
    );
    expect((await ask(requestOf(configured.projectId, host))).failure?.code).toBe('KEY_REFUSED');
  });

  it('F52 is refused as soon as the key is INVALID, and not while it is only suspected', async () => {
    const { projectId, keyId } = await newConfiguredProject(stage, service);
    stage.kms.disableKey(keyId);
    await stage.tick(service);
    expect((await ask(requestOf(projectId, host))).sealed).not.toBeNull();
    for (let checks = 0; checks < 10 && (await awsOf(service, projectId)).valid; checks += 1) await stage.tick(service);
    expect((await awsOf(service, projectId)).valid).toBe(false);
    const refused = await ask(requestOf(projectId, host));
    expect(refused).toMatchObject({ sealed: null, failure: { code: 'KEY_REFUSED', detail: expect.stringContaining('KEY_DISABLED') } });
    stage.kms.enableKey(keyId);
  });

  it('comes with the second key while the project names one that may be used, and never once the first is suspected', async () => {
    const { projectId, keyId } = await newConfiguredProject(stage, service);
    const named = `projects/p/locations/l/keyRings/r/cryptoKeys/${projectId}/cryptoKeyVersions/1`;
    const second = kms.createKey(named);
    const secondOf = async () => (await opened(await ask(requestOf(projectId, host)), host)).second;
    await service.validityPolicies.change(projectId, { secondProviders: { AWS: 'GCP' } }, 'owner');
    expect(await secondOf()).toBeUndefined();
    const googleCloudKms = { enabled: true, keyVersionResourceID: named, serviceAccountKey: SERVICE_ACCOUNT };
    valueOf(await service.useCases.change(projectId, { googleCloudKms }));
    expect(await secondOf()).toEqual({ provider: 'GCP', keyVersionResourceID: named, serviceAccountKey: SERVICE_ACCOUNT });
    expect((await opened(await ask(requestOf(projectId, host, { provider: 'GCP' })), host)).second).toBeUndefined();
    const outage = stage.kms.inject({ kind: 'throttle', keyId });
    await service.useCases.check(projectId, 'AWS');
    expect(await secondOf()).toMatchObject({ provider: 'GCP' });
    stage.kms.clearFaults(outage.id);
    kms.setState(second, 'DISABLED');
    await service.useCases.check(projectId, 'GCP');
    expect(await secondOf()).toBeUndefined();
    kms.setState(second, 'ENABLED');
    await service.useCases.check(projectId, 'GCP');
    expect(await secondOf()).toMatchObject({ provider: 'GCP' });
    stage.kms.disableKey(keyId);
    await service.useCases.check(projectId, 'AWS');
    expect(await secondOf()).toBeUndefined();
    stage.kms.enableKey(keyId);
  });

  it('is answered by one replica, also when two look at the same moment and when one died with the request', async () => {
    const second = await replica('replica-2');
    const { projectId } = await newConfiguredProject(stage, service);
    const requests = Array.from({ length: 8 }, () => requestOf(projectId, host));
    for (const request of requests) await stage.deliver(agentTaskKeyRequested, request);
    const worked = await Promise.all([service.keyAccessAnswers.runDue(), second.keyAccessAnswers.runDue()]);
    expect(worked[0] + worked[1]).toBe(requests.length);
    for (const request of requests) expect(await answers(request.id)).toHaveLength(1);

    const taken = requestOf(projectId, host);
    await stage.deliver(agentTaskKeyRequested, taken);
    await stage.database.query(
      `UPDATE key_access_request SET due_at = due_at + interval '60 s', tries = 1 WHERE task_id = $1 RETURNING task_id`,
      [taken.id],
    );
    expect(await second.keyAccessAnswers.runDue()).toBe(0);
    stage.clock.advance(60_000);
    expect(await second.keyAccessAnswers.runDue()).toBe(1);
    expect(await answers(taken.id)).toHaveLength(1);
  });

  it('is forgotten a day after the answer, and counted by what it was', async () => {
    const { projectId } = await newConfiguredProject(stage, service);
    await ask(requestOf(projectId, host));
    const known = async () => (await stage.database.query('SELECT FROM key_access_request')).length;
    await service.housekeeping.run();
    expect(await known()).toBeGreaterThan(0);
    stage.clock.advance(86_400_001);
    await service.housekeeping.run();
    expect(await known()).toBe(0);
    const shown = await stage.metrics.render();
    for (const outcome of ['granted', 'KEY_REFUSED', 'KEY_UNREACHABLE']) expect(shown).toContain(`outcome="${outcome}"`);
  });
});

async function newRole(projectId: string): Promise<{ roleId: string; externalId: string }> {
  const role = valueOf(await service.cloudProviderAccess.create(projectId, { providerName: 'AWS' })) as {
    roleId: string;
    atlasAssumedRoleExternalId: string;
  };
  return { roleId: role.roleId, externalId: role.atlasAssumedRoleExternalId };
}

async function useRole(projectId: string, roleId: string): Promise<void> {
  const { arn } = stage.kms.createKey();
  valueOf(await service.useCases.change(projectId, { awsKms: { enabled: true, customerMasterKeyID: arn, region: 'US_EAST_1', roleId } }));
}

/** Every row of every table that this service has, as text. */
async function everythingStored(): Promise<string> {
  const tables = await stage.database.query<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'`,
  );
  const contents = await Promise.all(tables.map(({ name }) => stage.database.query(`SELECT t::text AS text FROM "${name}" AS t`)));
  return JSON.stringify(contents);
}
