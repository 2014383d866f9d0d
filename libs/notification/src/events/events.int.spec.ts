import {
  KEY_PROVIDERS,
  keyConfigurationHeld,
  keyConfigurationHoldEnded,
  keyConfigurationInvalidated,
  keyConfigurationPolicyChanged,
  keyConfigurationReachable,
  keyConfigurationRemoved,
  keyConfigurationRotated,
  keyConfigurationRotationDue,
  keyConfigurationSaved,
  keyConfigurationUnreachable,
  keyConfigurationValidated,
  projectCreated,
} from '@atrest/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AlertsHttp } from '../test-support/http.contract.js';
import { DAY, following, keyState, MINUTE, projectState, Stage, START } from '../test-support/stage.contract.js';

describe('events of a project over HTTP', () => {
  let stage: Stage;
  let api: AlertsHttp;
  beforeAll(async () => {
    stage = await Stage.open('project-events');
    api = await AlertsHttp.open(stage);
  });
  afterAll(async () => {
    await api.close();
    await stage.close();
  });

  it.each(KEY_PROVIDERS)('%s: each has the name that Atlas has for it, once, also after a rebuild', async (provider) => {
    const project = projectState({ 'a@example.com': ['GROUP_OWNER'] });
    await stage.deliver(projectCreated, project);
    const token = await api.tokenFor('GROUP_READ_ONLY', project.id);
    const history = [
      keyConfigurationSaved,
      keyConfigurationHeld,
      keyConfigurationHoldEnded,
      keyConfigurationInvalidated,
      keyConfigurationValidated,
      keyConfigurationPolicyChanged,
      keyConfigurationUnreachable,
      keyConfigurationReachable,
      keyConfigurationRotationDue,
      keyConfigurationRotated,
      keyConfigurationRemoved,
    ];
    const saved = keyState(project.id, { provider });
    const happen = async (): Promise<void> => {
      for (const [index, definition] of history.entries()) {
        await stage.deliver(definition, following(saved, { revision: index + 1 }));
        stage.clock.advance(MINUTE);
      }
    };
    stage.clock.set(START);
    await happen();
    await stage.database.query('TRUNCATE key_configuration, inbox');
    await happen();

    const list = async (query: string): Promise<unknown[]> => {
      const { status, body } = await api.send('GET', `/groups/${project.id}/events${query}`, token);
      expect(status).toBe(200);
      return (body.results ?? []).map(({ eventTypeName }) => eventTypeName);
    };
    const key = `${provider}_ENCRYPTION_KEY`;
    const names = [
      'ENCRYPTION_AT_REST_CONFIGURATION_UPDATED',
      `${key}_ROTATED`,
      `${key}_NEEDS_ROTATION`,
      'ENCRYPTION_AT_REST_KMS_NETWORK_ACCESS_RESTORED',
      'ENCRYPTION_AT_REST_KMS_NETWORK_ACCESS_DENIED',
      `${key}_VALID`,
      `${key}_INVALID`,
      `${key}_VALID`,
      `${key}_INVALID`,
      'ENCRYPTION_AT_REST_CONFIGURATION_UPDATED',
    ];
    expect(await list('')).toEqual(names);
    expect(await list(`?eventType=${key}_VALID&eventType=${key}_ROTATED`)).toEqual([`${key}_ROTATED`, `${key}_VALID`, `${key}_VALID`]);
    expect(await list('?excludedEventType=ENCRYPTION_AT_REST_CONFIGURATION_UPDATED')).toEqual(names.slice(1, -1));
    expect(await list('?maxDate=2026-11-23T12:01:00Z&includeRaw=true')).toEqual(names.slice(-2));
    expect(await list('?minDate=2026-11-23T12:10:00Z')).toEqual(names.slice(0, 1));
    expect(await list('?itemsPerPage=3&pageNum=4')).toEqual(names.slice(9));
    expect(await list('?clusterNames=orders')).toEqual([]);
  });

  it('shows one, only to those who may see its project, and forgets it after more than a year', async () => {
    stage.clock.set(START);
    const [own, other] = [projectState({}), projectState({})];
    for (const project of [own, other]) await stage.deliver(projectCreated, project);
    await stage.deliver(keyConfigurationSaved, keyState(own.id));
    const token = await api.tokenFor('GROUP_READ_ONLY', own.id);
    const path = `/groups/${own.id}/events`;
    const [event] = (await api.send('GET', path, token)).body.results ?? [];
    expect(event).toEqual({
      id: expect.stringMatching(/^[a-f0-9]{24}$/),
      eventTypeName: 'ENCRYPTION_AT_REST_CONFIGURATION_UPDATED',
      created: '2026-11-23T12:00:00Z',
      groupId: own.id,
      orgId: own.orgId,
      isGlobalAdmin: false,
      links: [{ rel: 'self', href: `${api.url}/api/atlas/v2${path}/${event?.id}` }],
    });
    expect((await api.send('GET', `${path}/${event?.id}`, token)).body).toEqual(event);
    expect(await api.send('GET', `${path}/${'a'.repeat(24)}`, token)).toMatchObject({
      status: 404,
      body: { errorCode: 'RESOURCE_NOT_FOUND' },
    });
    expect(await api.send('GET', `/groups/${other.id}/events/${event?.id}`, token)).toMatchObject({ status: 404 });
    expect(await api.send('GET', `${path}?minDate=yesterday`, token)).toMatchObject({
      status: 400,
      body: { errorCode: 'INVALID_QUERY_PARAMETER' },
    });

    stage.clock.advance(399 * DAY);
    await stage.service.forget();
    expect(await stage.database.query('SELECT id FROM project_event WHERE project_id = $1', [own.id])).toHaveLength(1);
    stage.clock.advance(2 * DAY);
    await stage.service.forget();
    expect(await stage.database.query('SELECT id FROM project_event WHERE project_id = $1', [own.id])).toHaveLength(0);
  });
});
