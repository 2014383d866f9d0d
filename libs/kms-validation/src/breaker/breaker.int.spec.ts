import { newObjectId } from '@atrest/contracts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { KmsValidationService } from '../kms-validation.service.js';
import { Api } from '../test-support/api.contract.js';
import { newConfiguredProject, Stage, statusOf, valueOf, type ConfiguredProject } from '../test-support/stage.contract.js';

const HOUR = 3_600_000;

describe('the blast-radius breaker', () => {
  const orgId = newObjectId();
  let stage: Stage;
  let service: KmsValidationService;
  let projects: ConfiguredProject[];

  beforeEach(async () => {
    stage = await Stage.open('breaker', { breaker: { maxCount: 5, minimum: 5 } });
    service = await stage.replica();
    projects = [];
    while (projects.length < 8) projects.push(await newConfiguredProject(stage, service, { orgId }));
  });
  afterEach(() => stage.close());

  const states = async (): Promise<string[]> =>
    [...new Set(await Promise.all(projects.map(async ({ projectId }) => (await statusOf(service, projectId)).state)))].toSorted();
  const names = async (): Promise<Record<string, number>> =>
    (await stage.eventNames()).reduce<Record<string, number>>((count, name) => ({ ...count, [name]: (count[name] ?? 0) + 1 }), {});
  const breaker = async (): Promise<string[]> => (await stage.breakerEvents()).map(({ name }) => name);

  /** A mistake with the role that all of them use. */
  async function everythingFails(rounds = 3): Promise<void> {
    for (const { keyId } of projects) stage.kms.disableKey(keyId);
    for (let check = 0; check < rounds; check += 1) await stage.tick(service);
  }
  async function everythingWorks(): Promise<void> {
    for (const { keyId } of projects) stage.kms.enableKey(keyId);
    await stage.tick(service);
  }

  it('F18 the whole fleet fails in one minute: everything is held, nothing stopped, and the operators are paged once', async () => {
    await everythingFails();
    expect(await states()).toEqual(['HELD']);
    expect(await names()).toEqual({ saved: 8, held: 8 });
    const [opened, ...others] = await stage.breakerEvents();
    expect(others).toEqual([]);
    expect(opened).toMatchObject({ name: 'opened', data: { failing: 8, total: 8, maxCount: 5, maxShare: 0.3, closedAt: null } });
    const status = await statusOf(service, projects[0]!.projectId);
    expect(status).toMatchObject({ valid: true, hold: { decision: 'PENDING', atTheEnd: 'HOLD' }, evidence: [{}, {}, {}] });

    await everythingWorks();
    expect(await states()).toEqual(['VALID']);
    expect(await names()).toEqual({ saved: 8, held: 8, 'hold-ended': 8 });
    await service.housekeeping.run();
    await service.housekeeping.run();
    expect(await breaker()).toEqual(['opened', 'closed']);
  });

  it('F18 is the same for a fleet that is checked by several replicas, one of them restarted in the middle', async () => {
    const other = await stage.replica('replica-2');
    await everythingFails(2);
    await service.stop();
    service = await stage.replica('replica-1 again');
    const due = new Date((await statusOf(service, projects[0]!.projectId)).nextCheckAt);
    stage.clock.set(new Date(due.getTime() + 1_000));
    await Promise.all([service.monitor.runDue(), other.monitor.runDue()]);
    expect(await states()).toEqual(['HELD']);
    expect(await breaker()).toEqual(['opened']);
  });

  it('few keys that are gone stop their databases as always', async () => {
    for (const { keyId } of projects.slice(0, 2)) stage.kms.disableKey(keyId);
    for (let check = 0; check < 6; check += 1) await stage.tick(service);
    expect(await states()).toEqual(['INVALID', 'VALID']);
    expect(await names()).toEqual({ saved: 8, invalidated: 2 });
    expect(await breaker()).toEqual([]);
  });

  it('an owner of the organisation, and nobody else, releases or cancels', async () => {
    await everythingFails();
    const api = await Api.open(stage, service);
    try {
      const path = `/orgs/${orgId}/encryptionAtRest/heldShutdowns`;
      const token = await api.tokenFor('ORG_OWNER', orgId);
      for (const stranger of [await api.tokenFor('ORG_OWNER', newObjectId()), await api.tokenFor('GROUP_OWNER', projects[0]!.projectId)]) {
        expect((await api.request('GET', path, { token: stranger })).status).toBe(403);
        expect((await api.request('PATCH', path, { token: stranger, body: { decision: 'RELEASE' } })).status).toBe(403);
      }
      const listed = await api.request('GET', path, { token });
      expect(listed.body.results).toHaveLength(8);
      expect(listed.body.results[0]).toMatchObject({ provider: 'AWS', hold: { decision: 'PENDING' }, evidence: [{}, {}, {}] });

      const [released, cancelled] = projects as [ConfiguredProject, ConfiguredProject];
      const decide = (decision: 'RELEASE' | 'CANCEL', projectId: string) =>
        api.request('PATCH', path, { token, body: { decision, projectIds: [projectId] } });
      expect((await decide('RELEASE', released.projectId)).body).toEqual({ decided: 1 });
      expect((await decide('CANCEL', cancelled.projectId)).body).toEqual({ decided: 1 });
      expect(await service.monitor.runDue()).toBe(2);
      expect((await statusOf(service, released.projectId)).state).toBe('INVALID');
      stage.clock.advance(48 * HOUR);
      await service.monitor.runDue();
      expect(await statusOf(service, cancelled.projectId)).toMatchObject({ state: 'HELD', hold: { decision: 'CANCELLED' } });
      expect(await stage.eventNames(released.projectId)).toEqual(['saved', 'held', 'hold-decided', 'invalidated']);
      expect((await stage.events(released.projectId))[2]!.data.hold!.decidedBy).toMatch(/^mdb_sa_id_/);

      expect(await service.validityPolicies.decide(orgId, 'CANCELLED', null, 'somebody')).toEqual({ decided: 7 });
      await service.housekeeping.run();
      expect(await breaker()).toEqual(['opened', 'closed']);
    } finally {
      await api.close();
    }
  });

  it('a release stops nothing whose key is usable by then', async () => {
    await everythingFails();
    for (const { keyId } of projects) stage.kms.enableKey(keyId);
    expect(await service.validityPolicies.decide(orgId, 'RELEASED', null, 'somebody')).toEqual({ decided: 8 });
    await service.monitor.runDue();
    expect(await states()).toEqual(['VALID']);
    expect(await names()).toEqual({ saved: 8, held: 8, 'hold-decided': 8, 'hold-ended': 8 });
  });

  it('when nobody decides in time, projects that fail closed are stopped and the operators are told again of the others', async () => {
    const closed = projects[0]!.projectId;
    valueOf(await service.validityPolicies.change(closed, { failClosed: true, holdLimitSeconds: 2 * 3_600 }, 'owner'));
    await everythingFails();
    stage.clock.advance(2 * HOUR);
    await service.monitor.runDue();
    expect((await statusOf(service, closed)).state).toBe('INVALID');
    stage.clock.advance(2 * HOUR);
    await service.monitor.runDue();
    expect(await states()).toEqual(['HELD', 'INVALID']);
    expect(await stage.eventNames(projects[1]!.projectId)).toEqual(['saved', 'held', 'hold-overdue']);
  });
});
