import {
  keyConfigurationEndApproaching,
  keyConfigurationInvalidated,
  keyConfigurationRotationDue,
  keyConfigurationSaved,
  keyConfigurationUnreachable,
  projectCreated,
  type KeyConfigurationState,
} from '@atrest/contracts';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AlertsHttp, type AlertsAnswer } from '../test-support/http.contract.js';
import { DAY, following, HOUR, invalid, keyState, projectState, Stage } from '../test-support/stage.contract.js';
import { alertTypesOf } from './alert.js';

const ROTATION = 'AZURE_ENCRYPTION_KEY_NEEDS_ROTATION';
const INVALID = 'AZURE_ENCRYPTION_KEY_INVALID';

describe('what a project decides about its alerts', () => {
  let stage: Stage;
  let api: AlertsHttp;
  let owner: string;
  let reader: string;
  let state: KeyConfigurationState;
  let group: string;
  const send = (method: string, path: string, body?: object, token = owner): Promise<AlertsAnswer> =>
    api.send(method, `${group}${path}`, token, body);
  const mails = async (): Promise<string[]> => {
    await stage.service.deliverDue();
    return stage.mails.messages().map(({ subject }) => subject);
  };
  const newest = async (): Promise<Record<string, unknown>> => (await send('GET', '/alerts')).body.results?.[0] ?? {};
  const config = async (eventType: string): Promise<Record<string, unknown>> => {
    const { body } = await send('GET', '/alertConfigs');
    return body.results?.find(({ eventTypeName }) => eventTypeName === eventType) ?? {};
  };
  const due = async (change: Partial<KeyConfigurationState> = {}): Promise<void> => {
    const rotation = { rotatedAt: '2025-11-23T12:00:00.000Z', ageDays: 365, reminderDays: 365, automatic: false };
    state = following(state, { rotation, ...change });
    await stage.deliver(keyConfigurationRotationDue, state);
  };

  beforeAll(async () => {
    stage = await Stage.open('alert-settings');
    api = await AlertsHttp.open(stage);
  });
  afterAll(async () => {
    await api.close();
    await stage.close();
  });
  beforeEach(async () => {
    const project = projectState({ 'a@example.com': ['GROUP_OWNER'] });
    group = `/groups/${project.id}`;
    await stage.deliver(projectCreated, project);
    state = keyState(project.id, { provider: 'AZURE', region: null });
    await stage.deliver(keyConfigurationSaved, state);
    owner = await api.tokenFor('GROUP_OWNER', project.id);
    reader = await api.tokenFor('GROUP_READ_ONLY', project.id);
  });

  it('acknowledging an alert pauses its reminders until then, and can be taken back', async () => {
    await due();
    const before = (await mails()).length;
    const { id } = await newest();
    const acknowledged = await send('PATCH', `/alerts/${String(id)}`, {
      acknowledgedUntil: '2026-12-03T13:00:00+01:00',
      acknowledgementComment: 'new key is ordered',
    });
    expect(acknowledged).toMatchObject({
      status: 200,
      body: {
        status: 'OPEN',
        eventTypeName: ROTATION,
        acknowledgedUntil: '2026-12-03T12:00:00Z',
        acknowledgementComment: 'new key is ordered',
        acknowledgingUsername: expect.stringMatching(/^mdb_sa_id_/),
      },
    });
    stage.clock.advance(2 * DAY);
    owner = await api.tokenFor('GROUP_OWNER', state.projectId);
    await due();
    expect(await mails()).toHaveLength(before);
    const taken = await send('PATCH', `/alerts/${String(id)}`, { unacknowledgeAlert: true });
    for (const field of ['acknowledgedUntil', 'acknowledgementComment', 'acknowledgingUsername'])
      expect(taken.body).not.toHaveProperty(field);
    await due();
    expect(await mails()).toHaveLength(before + 1);
    // An acknowledgement ends by itself.
    await send('PATCH', `/alerts/${String(id)}`, { acknowledgedUntil: new Date(stage.clock.now().getTime() + DAY).toISOString() });
    stage.clock.advance(DAY + HOUR);
    await due();
    expect(await mails()).toHaveLength(before + 2);
  });

  it('an acknowledged alert never silences that databases are stopped', async () => {
    await stage.deliver(keyConfigurationInvalidated, invalid(state, stage.clock.now()));
    state = following(invalid(state, stage.clock.now()), {});
    const before = (await mails()).length;
    const { id } = await newest();
    await send('PATCH', `/alerts/${String(id)}`, { acknowledgedUntil: '2126-01-01T00:00:00Z' });
    await stage.deliver(keyConfigurationInvalidated, following(state, {}));
    expect(await mails()).toHaveLength(before + 1);
  });

  it('refuses acknowledgements that say nothing, too much or both', async () => {
    await due();
    const path = `/alerts/${String((await newest())['id'])}`;
    const refused = async (body: object, token = owner): Promise<unknown[]> => {
      const answer = await send('PATCH', path, body, token);
      return [answer.status, answer.body.errorCode];
    };
    const until = '2026-12-24T00:00:00Z';
    expect(await refused({})).toEqual([400, 'MISSING_ATTRIBUTE']);
    expect(await refused({ acknowledgedUntil: 'tomorrow' })).toEqual([400, 'INVALID_ATTRIBUTE']);
    expect(await refused({ acknowledgedUntil: until, acknowledgementComment: 'x'.repeat(201) })).toEqual([400, 'INVALID_ATTRIBUTE']);
    expect(await refused({ acknowledgedUntil: until, unacknowledgeAlert: true })).toEqual([400, 'INVALID_ATTRIBUTE']);
    expect(await refused({ acknowledgedUntil: until }, reader)).toEqual([403, 'ACCESS_FORBIDDEN']);
    expect(await send('PATCH', `/alerts/${'a'.repeat(24)}`, { acknowledgedUntil: until })).toMatchObject({
      status: 404,
      body: { errorCode: 'ALERT_NOT_FOUND' },
    });
    expect(await newest()).not.toHaveProperty('acknowledgedUntil');
  });

  it('has a configuration for each kind of alert about the keys that it has, as Atlas writes them', async () => {
    const { body } = await send('GET', '/alertConfigs', undefined, reader);
    expect(body.results?.map(({ eventTypeName }) => eventTypeName)).toEqual(alertTypesOf('AZURE').toSorted());
    expect(body['totalCount']).toBe(4);
    await due();
    const rotation = await config(ROTATION);
    expect(rotation).toMatchObject({
      enabled: true,
      matchers: [],
      groupId: state.projectId,
      threshold: { operator: 'GREATER_THAN', threshold: 365, units: 'DAYS' },
      notifications: [
        { typeName: 'GROUP', intervalMin: 1_440, delayMin: 0, emailEnabled: true, smsEnabled: false, roles: ['GROUP_OWNER'] },
      ],
    });
    expect(await config(INVALID)).not.toHaveProperty('threshold');
    const alert = await newest();
    expect(alert).toMatchObject({ alertConfigId: rotation['id'], eventTypeName: ROTATION });
    expect((await send('GET', `/alertConfigs/${String(rotation['id'])}`)).body).toEqual(rotation);
    expect((await send('GET', `/alerts/${String(alert['id'])}/alertConfigs`)).body.results).toEqual([rotation]);
    expect((await send('GET', `/alertConfigs/${String(rotation['id'])}/alerts`)).body.results).toEqual([alert]);
    expect((await send('GET', '/alertConfigs?itemsPerPage=3&pageNum=2')).body.results).toHaveLength(1);
    expect(await api.send('GET', '/alertConfigs/matchers/fieldNames', reader)).toEqual({ status: 200, body: [] });
    for (const path of [`/alertConfigs/${'a'.repeat(24)}`, `/alertConfigs/${'a'.repeat(24)}/alerts`]) {
      expect(await send('GET', path)).toMatchObject({ status: 404, body: { errorCode: 'ALERT_CONFIG_NOT_FOUND' } });
    }
  });

  it('switched off, its alert is cancelled, none opens and nobody is reminded; a stop is told in any case', async () => {
    await due();
    const before = (await mails()).length;
    const { id } = await config(ROTATION);
    expect(await send('PATCH', `/alertConfigs/${String(id)}`, { enabled: false }, reader)).toMatchObject({ status: 403 });
    expect(await send('PATCH', `/alertConfigs/${String(id)}`, {})).toMatchObject({ status: 400, body: { errorCode: 'MISSING_ATTRIBUTE' } });
    expect(await send('PATCH', `/alertConfigs/${String(id)}`, { enabled: false })).toMatchObject({
      status: 200,
      body: { id, enabled: false },
    });
    expect((await send('GET', '/alerts')).body.results).toMatchObject([{ status: 'CANCELLED' }]);
    stage.clock.advance(2 * DAY);
    owner = await api.tokenFor('GROUP_OWNER', state.projectId);
    await due();
    expect(await mails()).toHaveLength(before);
    expect((await send('GET', '/alerts?status=OPEN')).body.results).toEqual([]);
    // Others go on.
    const ending = { kind: 'EXPIRY' as const, at: '2027-01-01T00:00:00.000Z', daysLeft: 7, command: 'az', explanation: '' };
    state = following(state, { ending });
    await stage.deliver(keyConfigurationEndApproaching, state);
    state = following(state, { unreachableSince: stage.clock.now().toISOString() });
    await stage.deliver(keyConfigurationUnreachable, state);
    expect(await mails()).toHaveLength(before + 2);
    expect(await send('PATCH', `/alertConfigs/${String(id)}`, { enabled: true })).toMatchObject({ body: { enabled: true } });
    await due();
    expect(await mails()).toHaveLength(before + 3);

    const invalidConfig = await config(INVALID);
    await send('PATCH', `/alertConfigs/${String(invalidConfig['id'])}`, { enabled: false });
    state = invalid(state, stage.clock.now());
    await stage.deliver(keyConfigurationInvalidated, state);
    expect(await mails()).toHaveLength(before + 4);
    expect((await send('GET', `/alertConfigs/${String(invalidConfig['id'])}/alerts`)).body.results).toEqual([]);
  });

  it('takes a whole configuration back as it was read, and says where the threshold is changed', async () => {
    await due();
    const current = await config(ROTATION);
    const path = `/alertConfigs/${String(current['id'])}`;
    expect(await send('PUT', path, { ...current, enabled: false })).toMatchObject({
      status: 200,
      body: { enabled: false, threshold: { threshold: 365 } },
    });
    expect(await send('PUT', path, { ...current, enabled: true })).toMatchObject({ status: 200, body: { enabled: true } });

    const refused = async (change: object): Promise<unknown> => (await send('PUT', path, { ...current, ...change })).body.errorCode;
    expect(await refused({ eventTypeName: INVALID })).toBe('INVALID_EVENT_TYPE_FOR_ALERT');
    expect(await refused({ notifications: [] })).toBe('MISSING_NOTIFICATIONS');
    expect(await refused({ notifications: [{ typeName: 'WEBHOOK' }] })).toBe('INVALID_ATTRIBUTE');
    expect(await refused({ matchers: [{ fieldName: 'CLUSTER_NAME', operator: 'EQUALS', value: 'x' }] })).toBe('INVALID_ATTRIBUTE');
    expect(await refused({ threshold: null })).toBe('MISSING_THRESHOLD');
    const other = await send('PUT', path, { ...current, threshold: { operator: 'GREATER_THAN', threshold: 90, units: 'DAYS' } });
    expect(other).toMatchObject({ status: 400, body: { errorCode: 'INVALID_ATTRIBUTE', parameters: ['threshold'] } });
    expect(other.body['detail']).toContain(`/groups/${state.projectId}/encryptionAtRest/validityPolicy {"rotationReminderDays": 90}`);
    expect(await config(ROTATION)).toMatchObject({ enabled: true, threshold: { threshold: 365 } });
  });
});
