import {
  clusterCreated,
  keyConfigurationInvalidated,
  keyConfigurationRemoved,
  keyConfigurationSaved,
  keyConfigurationUnreachable,
  keyConfigurationValidated,
  projectCreated,
  type Role,
} from '@atrest/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AlertsHttp, type AlertsAnswer } from '../test-support/http.contract.js';
import { clusterState, following, HOUR, invalid, keyState, projectState, Stage, START } from '../test-support/stage.contract.js';

describe('alerts of a project over HTTP', () => {
  let stage: Stage;
  let api: AlertsHttp;
  const get = (path: string, token: string): Promise<AlertsAnswer> => api.send('GET', path, token);
  const tokenFor = (role: Role, projectId: string): Promise<string> => api.tokenFor(role, projectId);

  beforeAll(async () => {
    stage = await Stage.open('alerts');
    api = await AlertsHttp.open(stage);
  });
  afterAll(async () => {
    await api.close();
    await stage.close();
  });

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
      links: [{ rel: 'self', href: `${api.url}/api/atlas/v2${path}/${alert?.id}` }],
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
