import { clusterCreated, ValidityPolicySchema } from '@atrest/contracts';
import { FakeKeyProvider, FakeKms } from '@atrest/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ProviderFactory } from '../key-access.js';
import type { KmsValidationService } from '../kms-validation.service.js';
import { textOf } from '../providers/provider-binding.js';
import { Api, type ApiAnswer } from '../test-support/api.contract.js';
import {
  clusterState,
  MINUTE,
  newConfiguredProject,
  Stage,
  statusOf,
  valueOf,
  type ConfiguredProject,
} from '../test-support/stage.contract.js';

describe('the validity policy of a project', () => {
  const otherKms = new FakeKms();
  let stage: Stage;
  let service: KmsValidationService;
  let api: Api;
  let project: ConfiguredProject;
  let owner: string;

  beforeAll(async () => {
    const factory: ProviderFactory = ({ settings }) => new FakeKeyProvider(otherKms, textOf(settings, 'keyVersionResourceID'), 'GCP');
    stage = await Stage.open('validity policies', { providerFactories: { GCP: factory } });
    service = await stage.replica();
    api = await Api.open(stage, service);
  });
  afterAll(async () => {
    await api?.close();
    await stage?.close();
  });
  beforeEach(async () => {
    project = await newConfiguredProject(stage, service);
    owner = await api.tokenFor('GROUP_OWNER', project.projectId);
  });

  const path = (): string => `/groups/${project.projectId}/encryptionAtRest/validityPolicy`;
  const get = (): Promise<ApiAnswer> => api.request('GET', path(), { token: owner });
  const patch = (body: unknown, token = owner): Promise<ApiAnswer> => api.request('PATCH', path(), { token, body });
  const mine = async (checks: number): Promise<string[]> => {
    const states: string[] = [];
    while (states.length < checks) {
      const before = (await stage.checksOf(project.projectId)).checks;
      await stage.tick(service);
      if ((await stage.checksOf(project.projectId)).checks > before) states.push((await statusOf(service, project.projectId)).state);
    }
    return states;
  };

  it("the operator's reminder is every project's, and a project's own decision goes before it", async () => {
    const other = await stage.replica('replica-2', { rotationReminderDays: null });
    expect(valueOf(await other.validityPolicies.read(project.projectId))).toMatchObject({ rotationReminderDays: null });
    await patch({ rotationReminderDays: 90 });
    expect(valueOf(await other.validityPolicies.read(project.projectId))).toMatchObject({ rotationReminderDays: 90 });
  });

  it('follows the installation until the project decides for itself', async () => {
    const { body } = await get();
    expect(ValidityPolicySchema.parse(body)).toEqual(body);
    expect(body).toEqual({
      mode: 'enforce',
      failClosed: false,
      rotationReminderDays: 365,
      secondProviders: {},
      intervalSeconds: 60,
      confirmations: 3,
      confirmationWindowSeconds: 20,
      unreachableOwnersSeconds: 300,
      unreachableOperatorsSeconds: 1_800,
      unreachableOrganisationSeconds: 14_400,
      holdLimitSeconds: 14_400,
      ownSettings: [],
    });
    expect(await patch({ confirmations: 5, intervalSeconds: 3_600 })).toMatchObject({
      status: 200,
      body: { confirmations: 5, intervalSeconds: 3_600, ownSettings: ['intervalSeconds', 'confirmations'] },
    });
    expect(await patch({ confirmations: null })).toMatchObject({ body: { confirmations: 3, ownSettings: ['intervalSeconds'] } });
  });

  it.each([
    [{ intervalSeconds: 0 }, 'INVALID_ATTRIBUTE'],
    [{ intervalSeconds: 90_000 }, 'INVALID_ATTRIBUTE'],
    [{ confirmations: 1 }, 'INVALID_ATTRIBUTE'],
    [{ confirmationWindowSeconds: 601 }, 'INVALID_ATTRIBUTE'],
    [{ rotationReminderDays: 0 }, 'INVALID_ATTRIBUTE'],
    [{ secondProviders: { AWS: 'AWS' } }, 'INVALID_ATTRIBUTE'],
    [{ secondProviders: { AWS: 'ORACLE' } }, 'INVALID_ENUM_VALUE'],
    [{ mode: 'ignore' }, 'INVALID_ENUM_VALUE'],
    [{ interval: 60 }, 'INVALID_ATTRIBUTE'],
  ])('F88 %j is refused', async (body, errorCode) => {
    expect(await patch(body)).toMatchObject({ status: 400, body: { errorCode } });
    expect((await get()).body.ownSettings).toEqual([]);
  });

  it('is changed by owners only', async () => {
    for (const role of ['GROUP_READ_ONLY', 'GROUP_CLUSTER_MANAGER', 'GROUP_BACKUP_MANAGER'] as const) {
      const token = await api.tokenFor(role, project.projectId);
      expect((await patch({ mode: 'observe' }, token)).status).toBe(403);
      expect((await api.request('GET', path(), { token })).status).toBe(200);
    }
  });

  it('observe: the key becomes INVALID and nothing is stopped; the report says what would have been, and when', async () => {
    await stage.deliver(clusterCreated, clusterState(project.projectId, { name: 'orders' }));
    await patch({ mode: 'observe' });
    stage.kms.disableKey(project.keyId);
    expect(await mine(3)).toEqual(['SUSPECT', 'SUSPECT', 'INVALID']);
    const stoppedAt = stage.clock.now();
    const events = await stage.events(project.projectId);
    expect(events.map(({ name, data }) => [name, data.mode])).toEqual([
      ['saved', 'enforce'],
      ['policy-changed', 'observe'],
      ['invalidated', 'observe'],
    ]);
    stage.kms.enableKey(project.keyId);
    await mine(1);
    const { body } = await api.request('GET', `${path()}/report`, { token: owner });
    const whole = (date: Date): string => `${date.toISOString().slice(0, 19)}Z`;
    expect(body.results).toMatchObject([
      {
        provider: 'AWS',
        clusters: ['orders'],
        wouldHaveStoppedAt: whole(stoppedAt),
        wouldHaveStartedAt: whole(stage.clock.now()),
        evidence: [{ reason: 'KEY_DISABLED' }, {}, {}],
      },
    ]);
  });

  it('back to enforce while the key is gone says so at once', async () => {
    await patch({ mode: 'observe' });
    stage.kms.disableKey(project.keyId);
    await mine(3);
    await patch({ mode: 'enforce' });
    expect((await stage.events(project.projectId)).at(-1)).toMatchObject({
      name: 'policy-changed',
      data: { state: 'INVALID', mode: 'enforce' },
    });
  });

  it('as many confirmations as the project wants', async () => {
    await patch({ confirmations: 5 });
    stage.kms.disableKey(project.keyId);
    expect(await mine(5)).toEqual(['SUSPECT', 'SUSPECT', 'SUSPECT', 'SUSPECT', 'INVALID']);
  });

  it('a shorter interval counts from now', async () => {
    await patch({ intervalSeconds: 3_600 });
    await mine(1);
    const next = async (): Promise<number> =>
      Date.parse((await statusOf(service, project.projectId)).nextCheckAt) - stage.clock.now().getTime();
    expect(await next()).toBeGreaterThan(59 * MINUTE);
    await patch({ intervalSeconds: 5 });
    expect(await next()).toBeLessThanOrEqual(5_000);
  });

  it('each alert level after the time that the project wants', async () => {
    await patch({ unreachableOwnersSeconds: 60, unreachableOperatorsSeconds: 120, unreachableOrganisationSeconds: 0 });
    stage.kms.inject({ kind: 'throttle', keyId: project.keyId });
    await mine(4);
    const told = (await stage.events(project.projectId)).flatMap(({ name, data }) => (data.alertLevel ? [[name, data.alertLevel]] : []));
    // The organisation never hears before the operators.
    expect(told).toEqual([
      ['became-unreachable', 'PROJECT_OWNERS'],
      ['unreachable-escalated', 'OPERATORS'],
      ['unreachable-escalated', 'ORGANISATION_OWNERS'],
    ]);
  });

  it('a second key waits, stands in while the first is unreachable, and is barred by the first suspicion; it takes part in no verdict', async () => {
    const status = async (): Promise<unknown> => (await statusOf(service, project.projectId)).secondKey;
    const keyId = `projects/p/locations/europe-west3/keyRings/r/cryptoKeys/${project.projectId}/cryptoKeyVersions/1`;
    const second = otherKms.createKey(keyId);
    expect(await status()).toBeNull();
    await patch({ secondProviders: { AWS: 'GCP' } });
    expect(await status()).toEqual({ provider: 'GCP', keyId: null, role: 'NOT_CONFIGURED' });
    const googleCloudKms = { enabled: true, keyVersionResourceID: keyId, serviceAccountKey: '{"type":"service_account"}' };
    valueOf(await service.useCases.change(project.projectId, { googleCloudKms }));
    expect(await status()).toEqual({ provider: 'GCP', keyId, role: 'WAITS' });
    expect((await patch({ confirmations: 4 })).body).toMatchObject({ secondProviders: { AWS: 'GCP' } });

    const check = () => service.useCases.check(project.projectId, 'AWS');
    const fault = stage.kms.inject({ kind: 'throttle', keyId: project.keyId });
    await check();
    expect(await status()).toMatchObject({ role: 'STANDS_IN' });
    otherKms.setState(second, 'DISABLED');
    await service.useCases.check(project.projectId, 'GCP');
    expect(await status()).toMatchObject({ role: 'NOT_USABLE' });
    otherKms.setState(second, 'ENABLED');
    await service.useCases.check(project.projectId, 'GCP');
    expect(await status()).toMatchObject({ role: 'STANDS_IN' });

    stage.kms.clearFaults(fault.id);
    stage.kms.disableKey(project.keyId);
    await check();
    expect(await status()).toMatchObject({ role: 'BARRED_BY_FIRST' });
    // Out of reach again: what was suspected is not forgotten.
    stage.kms.inject({ kind: 'throttle', keyId: project.keyId });
    await check();
    expect(await status()).toMatchObject({ role: 'BARRED_BY_FIRST' });
    expect(valueOf(await service.useCases.read(project.projectId)).googleCloudKms.valid).toBe(true);
    await patch({ secondProviders: null });
    expect(await status()).toBeNull();
  });
});
