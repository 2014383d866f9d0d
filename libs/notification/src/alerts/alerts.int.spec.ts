import { randomUUID } from 'node:crypto';
import {
  clusterCreated,
  keyConfigurationInvalidated,
  keyConfigurationRemoved,
  keyConfigurationSaved,
  keyConfigurationUnreachable,
  keyConfigurationValidated,
  newObjectId,
  projectCreated,
  serviceAccountChanged,
  signingKeyCreated,
  type Role,
} from '@atrest/contracts';
import { ACCESS_TOKEN_ALGORITHM, ACCESS_TOKEN_AUDIENCE, ACCESS_TOKEN_TYPE } from '@atrest/platform-auth';
import { createHttpApp, type HttpApp } from '@atrest/platform-http';
import { createLogger } from '@atrest/platform-logging';
import { Metrics } from '@atrest/platform-metrics';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  clusterState,
  DAY,
  following,
  HOUR,
  invalid,
  keyState,
  projectState,
  PUBLIC_URL,
  Stage,
  START,
} from '../test-support/stage.contract.js';

interface AlertsAnswer {
  readonly status: number;
  readonly body: { readonly results?: { readonly id: string }[]; readonly errorCode?: string } & Record<string, unknown>;
}

describe('alerts of a project over HTTP', () => {
  let stage: Stage;
  let http: HttpApp;
  let url: string;
  let privateKey: CryptoKey;

  beforeAll(async () => {
    stage = await Stage.open('alerts');
    http = await createHttpApp({
      modules: [stage.service.module],
      logger: createLogger({ service: 'http', level: 'silent' }),
      metrics: new Metrics(),
    });
    url = await http.listen(0, '127.0.0.1');
    const pair = await generateKeyPair(ACCESS_TOKEN_ALGORITHM, { extractable: true });
    privateKey = pair.privateKey;
    const { kty = '', crv = '', x = '', y = '' } = await exportJWK(pair.publicKey);
    const until = new Date(START.getTime() + 365 * DAY).toISOString();
    await stage.deliver(signingKeyCreated, { kid: 'k1', publicJwk: { kty, crv, x, y }, signsUntil: until, acceptedUntil: until });
  });
  afterAll(async () => {
    await http.close();
    await stage.close();
  });

  async function tokenFor(role: Role, projectId: string): Promise<string> {
    const clientId = `mdb_sa_id_${newObjectId()}`;
    const grants = [{ role, orgId: null, projectId }];
    await stage.deliver(serviceAccountChanged, {
      clientId,
      orgId: newObjectId(),
      name: 'test',
      grants,
      signingKeys: [],
      deletedAt: null,
      revision: 1,
    });
    const now = Math.floor(stage.clock.now().getTime() / 1_000);
    return new SignJWT({})
      .setProtectedHeader({ alg: ACCESS_TOKEN_ALGORITHM, typ: ACCESS_TOKEN_TYPE, kid: 'k1' })
      .setSubject(clientId)
      .setJti(randomUUID())
      .setIssuer(PUBLIC_URL)
      .setAudience(ACCESS_TOKEN_AUDIENCE)
      .setIssuedAt(now)
      .setExpirationTime(now + 3_600)
      .sign(privateKey);
  }

  async function get(path: string, token: string): Promise<AlertsAnswer> {
    const response = await fetch(`${url}/api/atlas/v2${path}`, {
      headers: { accept: 'application/vnd.atlas.2025-03-12+json', authorization: `Bearer ${token}` },
    });
    return { status: response.status, body: (await response.json()) as AlertsAnswer['body'] };
  }

  it('opens with the condition, closes with it, and reads as Atlas writes it', async () => {
    const project = projectState({ 'a@example.com': ['GROUP_OWNER'] });
    await stage.deliver(projectCreated, project);
    await stage.deliver(clusterCreated, clusterState(project.id, 'orders'));
    const token = await tokenFor('GROUP_READ_ONLY', project.id);
    const path = `/groups/${project.id}/alerts`;
    expect(await get(path, token)).toMatchObject({ status: 200, body: { results: [], totalCount: 0 } });

    const saved = keyState(project.id);
    await stage.deliver(keyConfigurationSaved, saved);
    const gone = invalid(saved, START);
    await stage.deliver(keyConfigurationInvalidated, gone);
    stage.clock.advance(90_000);
    await stage.service.deliverDue();
    const open = await get(path, token);
    const [alert] = open.body.results ?? [];
    expect(alert).toEqual({
      id: expect.stringMatching(/^[a-f0-9]{24}$/),
      alertConfigId: expect.stringMatching(/^[a-f0-9]{24}$/),
      eventTypeName: 'AWS_ENCRYPTION_KEY_INVALID',
      status: 'OPEN',
      created: '2026-11-23T12:00:00Z',
      updated: '2026-11-23T12:00:00Z',
      lastNotified: '2026-11-23T12:01:30Z',
      groupId: project.id,
      orgId: project.orgId,
      links: [{ rel: 'self', href: `${url}/api/atlas/v2${path}/${alert?.id}` }],
    });
    expect(open.body).toMatchObject({ totalCount: 1, links: [{ rel: 'self' }] });
    expect((await get(`${path}/${alert?.id}`, token)).body).toEqual(alert);

    stage.clock.advance(HOUR / 2);
    const back = following(gone, { state: 'VALID', invalidSince: null, evidence: [] });
    await stage.deliver(keyConfigurationValidated, back);
    expect((await get(`${path}/${alert?.id}`, token)).body).toMatchObject({ status: 'CLOSED', resolved: '2026-11-23T12:31:30Z' });

    const unreachable = following(back, { unreachableSince: stage.clock.now().toISOString() });
    await stage.deliver(keyConfigurationUnreachable, unreachable);
    const filtered = async (query: string): Promise<unknown[]> =>
      ((await get(`${path}${query}`, token)).body.results ?? []).map((each) => (each as { eventTypeName?: string }).eventTypeName);
    expect(await filtered('?status=OPEN')).toEqual(['ENCRYPTION_AT_REST_KMS_NETWORK_ACCESS_DENIED']);
    expect(await filtered('?status=CLOSED')).toEqual(['AWS_ENCRYPTION_KEY_INVALID']);
    expect(await filtered('?status=TRACKING')).toEqual([]);
    expect(await filtered('?itemsPerPage=1&pageNum=2')).toEqual(['AWS_ENCRYPTION_KEY_INVALID']);

    await stage.deliver(keyConfigurationRemoved, following(unreachable, { enabled: false }));
    expect((await get(path, token)).body.results).toMatchObject([{ status: 'CANCELLED' }, { status: 'CLOSED' }]);
  });

  it('shows a project only to those who may see it', async () => {
    const [own, other] = [projectState({}), projectState({})];
    for (const project of [own, other]) await stage.deliver(projectCreated, project);
    await stage.deliver(keyConfigurationInvalidated, invalid(keyState(other.id), START));
    const token = await tokenFor('GROUP_OWNER', own.id);
    const otherToken = await tokenFor('GROUP_CLUSTER_MANAGER', other.id);
    const { body } = await get(`/groups/${other.id}/alerts`, otherToken);
    const alertId = body.results?.[0]?.id;
    expect(alertId).toBeDefined();
    expect(await get(`/groups/${other.id}/alerts`, token)).toMatchObject({ status: 404, body: { errorCode: 'GROUP_NOT_FOUND' } });
    expect(await get(`/groups/${own.id}/alerts/${alertId}`, token)).toMatchObject({ status: 404, body: { errorCode: 'ALERT_NOT_FOUND' } });
    expect(await get(`/groups/${own.id}/alerts/${'x'.repeat(1_000)}`, token)).toMatchObject({
      status: 404,
      body: { errorCode: 'ALERT_NOT_FOUND' },
    });
    expect(await get(`/groups/${own.id}/alerts?status=GONE`, token)).toMatchObject({ status: 400 });
  });
});

describe('the running service', () => {
  it('sends by itself as soon as an event arrives', async () => {
    const stage = await Stage.open('running-notification');
    await stage.service.start();
    expect(await stage.service.readiness()).toEqual({ ok: true });
    const project = projectState({ 'a@example.com': ['GROUP_OWNER'] });
    await stage.deliver(projectCreated, project);
    await stage.deliver(keyConfigurationInvalidated, invalid(keyState(project.id), START));
    expect((await stage.mails.waitForMessage()).to).toEqual(['a@example.com']);
    await stage.close();
    expect((await stage.service.readiness()).ok).toBe(false);
  });
});
