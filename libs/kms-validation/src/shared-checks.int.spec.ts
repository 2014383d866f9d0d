import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { KmsValidationService } from './kms-validation.service.js';
import {
  MINUTE,
  newConfiguredProject,
  newProject,
  Stage,
  statusOf,
  valueOf,
  type ConfiguredProject,
} from './test-support/stage.contract.js';

describe('one check for every configuration on a key', () => {
  let stage: Stage;
  let service: KmsValidationService;
  let first: ConfiguredProject;

  beforeEach(async () => {
    stage = await Stage.open('shared checks', { breaker: { maxCount: 1_000, minimum: 1_000 } });
    service = await stage.replica();
    first = await newConfiguredProject(stage, service);
  });
  afterEach(() => stage.close());

  /** Another project with the same key and, unless others are given, the same credentials. */
  async function sharing(credentials = first.credentials): Promise<string> {
    const projectId = await newProject(stage);
    const awsKms = {
      enabled: true,
      customerMasterKeyID: first.keyId,
      region: 'US_EAST_1',
      accessKeyID: credentials.accessKeyId,
      secretAccessKey: credentials.secretAccessKey,
    } as const;
    valueOf(await service.useCases.change(projectId, { awsKms }));
    return projectId;
  }

  const requests = (): number => stage.kms.calls().length;
  const statesOf = async (projects: readonly string[]): Promise<Set<string>> =>
    new Set(await Promise.all(projects.map(async (projectId) => (await statusOf(service, projectId)).state)));

  it('500 configurations on one key cost one request a minute, and all are told of a revocation and of its end', async () => {
    const projects = [first.projectId];
    while (projects.length < 500) projects.push(await sharing());
    for (let minute = 0; minute < 3; minute += 1) {
      const before = requests();
      expect(await stage.tick(service)).toBe(1);
      expect(requests() - before).toBe(1);
    }
    const last = await statusOf(service, projects.at(-1)!);
    expect(last.lastProvenAt).toBe(`${stage.clock.now().toISOString().slice(0, 19)}Z`);

    stage.kms.disableKey(first.keyId);
    const before = requests();
    for (let check = 0; check < 3; check += 1) await stage.tick(service);
    expect(requests() - before).toBe(3);
    const { evidence, state } = await statusOf(service, projects.at(-1)!);
    expect([state, evidence.length, new Set(evidence.map(({ requestId }) => requestId)).size]).toEqual(['INVALID', 3, 3]);
    expect(await statesOf(projects)).toEqual(new Set(['INVALID']));
    stage.kms.enableKey(first.keyId);
    await stage.tick(service);
    expect(await statesOf(projects)).toEqual(new Set(['VALID']));
    const names = (await stage.eventNames()).reduce<Record<string, number>>(
      (count, name) => ({ ...count, [name]: (count[name] ?? 0) + 1 }),
      {},
    );
    expect(names).toEqual({ saved: 500, invalidated: 500, validated: 500 });
  });

  it('other credentials are another question', async () => {
    const other = stage.kms.createAccessKey();
    const projectId = await sharing(other);
    stage.kms.deleteAccessKey(other.accessKeyId);
    for (let check = 0; check < 3; check += 1) await stage.tick(service);
    expect([(await statusOf(service, projectId)).state, (await statusOf(service, first.projectId)).state]).toEqual(['INVALID', 'VALID']);
  });

  it('each canary has its turn', async () => {
    const projects = [first.projectId, await sharing(), await sharing()];
    const before = requests();
    for (let check = 0; check < 6; check += 1) await stage.tick(service);
    const asked = stage.kms.calls().slice(before);
    const turns = asked.map(({ encryptionContext }) => encryptionContext?.['atrest:project'] ?? '');
    expect(new Set(turns.slice(0, 3))).toEqual(new Set(projects));
    expect(turns.slice(3)).toEqual(turns.slice(0, 3));
  });

  it('F15 a canary that was damaged makes its own configuration INVALID and no other on the key', async () => {
    const other = await sharing();
    await stage.database.query(
      `UPDATE key_configuration SET canary = jsonb_set(canary, '{sha256}', to_jsonb(repeat('0', 64))) WHERE project_id = $1`,
      [first.projectId],
    );
    for (let check = 0; check < 12; check += 1) await stage.tick(service);
    expect(await statusOf(service, first.projectId)).toMatchObject({ state: 'INVALID', lastEvidence: { reason: 'CANARY_DIFFERS' } });
    expect(await statusOf(service, other)).toMatchObject({ state: 'VALID', evidence: [{ verdict: 'usable' }] });
    expect(await stage.eventNames(other)).toEqual(['saved']);
  });

  it('a verdict on the key itself is one for all at once: no second opinion delays it', async () => {
    const other = await sharing();
    stage.kms.destroyKey(first.keyId);
    const before = requests();
    for (let check = 0; check < 3; check += 1) await stage.tick(service);
    expect(requests() - before).toBe(3);
    expect(await statesOf([first.projectId, other])).toEqual(new Set(['INVALID']));
  });

  it('a configuration that leaves takes nothing from the others, and the last one takes the key along', async () => {
    const other = await sharing();
    valueOf(await service.useCases.change(first.projectId, { awsKms: { enabled: false } }));
    stage.clock.advance(MINUTE);
    expect(await service.monitor.runDue()).toBe(1);
    valueOf(await service.useCases.change(other, { awsKms: { enabled: false } }));
    stage.clock.advance(MINUTE);
    expect(await service.monitor.runDue()).toBe(0);
    expect(await stage.database.query('SELECT id FROM checked_key')).toEqual([]);
  });

  it('‘try again’ of one project asks with its own canary and answers for all', async () => {
    const other = await sharing();
    stage.kms.disableKey(first.keyId);
    const before = requests();
    expect(valueOf(await service.useCases.check(other, 'AWS'))).toMatchObject({ verdict: 'definitive', state: 'SUSPECT' });
    expect(stage.kms.calls().slice(before)).toMatchObject([{ encryptionContext: { 'atrest:project': other } }]);
    expect((await statusOf(service, first.projectId)).state).toBe('SUSPECT');
  });

  it('the history has an entry per change of the result and per hour, and knows how many checks each stands for', async () => {
    for (let minute = 0; minute < 180; minute += 1) await stage.tick(service);
    stage.kms.disableKey(first.keyId);
    for (let check = 0; check < 3; check += 1) await stage.tick(service);
    const history = valueOf(await service.useCases.historyOf(first.projectId, 'AWS'));
    expect(history.samples.map(({ verdict, checks }) => [verdict, checks])).toEqual([
      ['definitive', 60],
      ['usable', 60],
      ['usable', 60],
      ['usable', 1],
    ]);
    expect(history.changes).toMatchObject([
      { from: 'SUSPECT', to: 'INVALID', mode: 'enforce', evidence: [{ errorName: 'DisabledException' }, {}, {}] },
      { from: 'VALID', to: 'SUSPECT' },
    ]);
    expect((await stage.checksOf(first.projectId)).checks).toBe(183);
  });
});
