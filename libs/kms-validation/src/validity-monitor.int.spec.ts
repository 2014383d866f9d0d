import { projectCreated, projectDeleted } from '@atrest/contracts';
import { waitFor } from '@atrest/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HISTORY_DAYS } from './housekeeping.js';
import { CheckedKeyRepository } from './checked-key.repository.js';
import { KeyConfigurationRepository } from './key-configuration.repository.js';
import type { KmsValidationService } from './kms-validation.service.js';
import {
  MINUTE,
  newConfiguredProject,
  projectState,
  Stage,
  statusOf,
  valueOf,
  type ConfiguredProject,
} from './test-support/stage.contract.js';

/** A gate that holds the first who comes and lets everybody else pass. */
function gate() {
  let open!: () => void;
  let arrived!: () => void;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const someoneWaits = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  let taken = false;
  const pass = async (): Promise<void> => {
    if (taken) return;
    taken = true;
    arrived();
    await opened;
  };
  return { pass, open, someoneWaits };
}

describe('the validity monitor', () => {
  let stage: Stage;
  let service: KmsValidationService;
  let repository: KeyConfigurationRepository;
  let keys: CheckedKeyRepository;

  beforeEach(async () => {
    stage = await Stage.open('validity monitor');
    service = await stage.replica();
    repository = new KeyConfigurationRepository(stage.database);
    keys = new CheckedKeyRepository(stage.database);
  });
  afterEach(() => stage.close());

  const lease = (owner: string) => ({ owner, until: new Date(stage.clock.now().getTime() + MINUTE) });
  const idOf = async ({ projectId }: ConfiguredProject): Promise<string> => (await statusOf(service, projectId)).id;

  it('checks each configuration at its due time and not before', async () => {
    await newConfiguredProject(stage, service);
    expect(await service.monitor.runDue()).toBe(0);
    stage.clock.advance(MINUTE - 1);
    expect(await service.monitor.runDue()).toBe(0);
    stage.clock.advance(1);
    expect(await service.monitor.runDue()).toBe(1);
    expect(await service.monitor.runDue()).toBe(0);
    expect(await stage.history()).toMatchObject([{ verdict: 'usable', observer: 'replica-1', checks: 1 }]);
    const series = await stage.metrics.render();
    expect(series).toContain('atrest_validity_verdicts_total{provider="AWS",verdict="usable",reason="none"} 1');
    expect(series).toContain('atrest_validity_check_seconds_count{provider="AWS"} 1');
    expect(series).toContain('atrest_validity_check_lateness_seconds_count 1');
  });

  it('F33 two replicas never check the same configuration at the same due time', async () => {
    const other = await stage.replica('replica-2', { checks: { concurrency: 4, retries: { sleep: () => Promise.resolve() } } });
    await Promise.all(Array.from({ length: 40 }, () => newConfiguredProject(stage, service)));
    for (let round = 1; round <= 3; round += 1) {
      stage.clock.advance(MINUTE);
      const done = await Promise.all([service.monitor.runDue(), other.monitor.runDue()]);
      expect(done[0] + done[1]).toBe(40);
      const unwraps = stage.kms.calls().filter(({ operation }) => operation === 'Decrypt');
      // One for each configuration when it was saved, and one a round.
      expect([unwraps.length, new Set(unwraps.map(({ keyId }) => keyId)).size]).toEqual([40 * (round + 1), 40]);
    }
  });

  it('what a killed replica had claimed is checked by another one after the lease', async () => {
    await newConfiguredProject(stage, service);
    stage.clock.advance(MINUTE);
    const killed = await keys.claimDue(10, stage.clock.now(), lease('killed'));
    expect(killed).toHaveLength(1);
    expect(await service.monitor.runDue()).toBe(0);
    stage.clock.advance(MINUTE - 1);
    expect(await service.monitor.runDue()).toBe(0);
    stage.clock.advance(1);
    expect(await service.monitor.runDue()).toBe(1);
  });

  it('a clock that is set back by a day delays no check, neither of a suspect key nor of one that a killed replica had claimed', async () => {
    const DAY = 1_440 * MINUTE;
    const project = await newConfiguredProject(stage, service);
    stage.kms.disableAccessKey(project.credentials.accessKeyId);
    await stage.tick(service);
    stage.clock.advance(-DAY);
    expect(await service.monitor.runDue()).toBe(1);
    expect((await statusOf(service, project.projectId)).state).toBe('SUSPECT');
    stage.clock.advance(MINUTE);
    expect(await keys.claimDue(10, stage.clock.now(), lease('killed'))).toHaveLength(1);
    stage.clock.advance(-DAY);
    for (let check = 0; check < 3; check += 1) await stage.tick(service);
    expect((await statusOf(service, project.projectId)).state).toBe('INVALID');
  });

  it('a replica that was only thought dead cannot write its late result', async () => {
    const project = await newConfiguredProject(stage, service);
    stage.clock.advance(MINUTE);
    const [slow] = await keys.claimDue(1, stage.clock.now(), lease('slow'));
    stage.clock.advance(MINUTE);
    expect(await service.monitor.runDue()).toBe(1);
    const { key, lease: lost } = slow!;
    expect(await stage.database.transaction((tx) => keys.holds(tx, key.id, lost))).toBe(false);
    const late = { id: key.id, lease: lost, after: key, now: stage.clock.now() };
    expect(await stage.database.transaction((tx) => keys.finish(tx, late))).toBe('lease-lost');
    expect((await statusOf(service, project.projectId)).state).toBe('VALID');
  });

  it('a replica that stops gives back what it has claimed', async () => {
    const project = await newConfiguredProject(stage, service);
    const held = gate();
    stage.beforeUnwrap = held.pass;
    stage.clock.advance(MINUTE);
    const other = await stage.replica('replica-2');
    const running = service.monitor.runDue();
    await held.someoneWaits;
    await service.monitor.stop();
    await running;
    expect(await stage.history()).toEqual([]);
    expect(await other.monitor.runDue()).toBe(1);
    held.open();
    expect((await statusOf(other, project.projectId)).lastEvidence).toMatchObject({ observer: 'replica-2' });
  });

  it('settings changed during a check: its result is discarded and never applied to the new settings', async () => {
    const project = await newConfiguredProject(stage, service);
    const id = await idOf(project);
    // Two definitive verdicts are counted; the third is under way when the credentials are replaced.
    stage.kms.disableAccessKey(project.credentials.accessKeyId);
    await stage.tick(service);
    await stage.tick(service);
    expect((await statusOf(service, project.projectId)).confirmations).toBe(2);
    const held = gate();
    stage.beforeUnwrap = held.pass;
    const running = stage.tick(service);
    await held.someoneWaits;

    const renewed = stage.kms.createAccessKey();
    const change = { accessKeyID: renewed.accessKeyId, secretAccessKey: renewed.secretAccessKey };
    valueOf(await service.useCases.change(project.projectId, { awsKms: change }));
    held.open();
    await running;

    expect(await statusOf(service, project.projectId)).toMatchObject({ id, state: 'VALID', confirmations: 0 });
    expect(await stage.eventNames()).toEqual(['saved', 'saved']);
    const { changes } = valueOf(await service.useCases.historyOf(project.projectId, 'AWS'));
    expect(changes.map(({ from, to }) => [from, to])).toEqual([
      ['SUSPECT', 'VALID'],
      ['VALID', 'SUSPECT'],
    ]);
    expect(stage.logLines.some((line) => line.includes('changed-meanwhile'))).toBe(true);
    expect(await stage.tick(service)).toBe(1);
    expect(await statusOf(service, project.projectId)).toMatchObject({ state: 'VALID', lastEvidence: { verdict: 'usable' } });
  });

  it('a project deleted during a check takes its configuration along', async () => {
    const project = await newConfiguredProject(stage, service);
    const held = gate();
    stage.beforeUnwrap = held.pass;
    const running = stage.tick(service);
    await held.someoneWaits;
    const deletedAt = stage.clock.now().toISOString();
    await stage.deliver(projectDeleted, projectState({ id: project.projectId, deletedAt, revision: 2 }));
    held.open();
    await running;
    expect(await stage.eventNames()).toEqual(['saved', 'removed']);
    expect(await repository.find(project.projectId, 'AWS')).toBeNull();
    expect(await service.monitor.runDue()).toBe(0);
  });

  it('no transaction is open while the KMS is asked', async () => {
    await newConfiguredProject(stage, service);
    const held = gate();
    stage.beforeUnwrap = held.pass;
    const running = stage.tick(service);
    await held.someoneWaits;
    const open = await stage.database.query(
      "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'",
    );
    expect(open).toEqual([]);
    held.open();
    await running;
  });

  it('a check that does not end is cut off by its time limit and taught nothing', async () => {
    const short = await Stage.open('time limit', { timeLimitMs: 200 });
    try {
      const replica = await short.replica();
      const project = await newConfiguredProject(short, replica);
      const held = gate();
      short.beforeUnwrap = held.pass;
      expect(await short.tick(replica)).toBe(1);
      held.open();
      expect(await statusOf(replica, project.projectId)).toMatchObject({
        state: 'VALID',
        lastEvidence: { reason: 'TIMEOUT', errorName: 'CheckTimeLimit' },
      });
    } finally {
      await short.close();
    }
  });

  it('confirmations and recoveries are looked for on new clients, regular checks on the one that is there', async () => {
    const project = await newConfiguredProject(stage, service);
    let clients = 0;
    const replica = await stage.replica('counting', {
      providerFactories: {
        AWS: (key) => {
          clients += 1;
          return stage.clientFor(key);
        },
      },
    });
    const clientsOfChecks = async (checks: number): Promise<number[]> => {
      const made: number[] = [];
      for (let check = 0; check < checks; check += 1) {
        await stage.tick(replica);
        made.push(clients);
      }
      return made;
    };
    expect(await clientsOfChecks(3)).toEqual([1, 1, 1]);
    stage.kms.disableKey(project.keyId);
    expect(await clientsOfChecks(4)).toEqual([1, 2, 3, 4]);
    stage.kms.enableKey(project.keyId);
    // The one that saw the key usable again, and then, because the events moved the revision, one for the regular checks.
    const [recovered, regular, same] = await clientsOfChecks(3);
    expect(recovered).toBe(5);
    expect(same).toBe(regular);
  });

  it('one check retries what is transient, and nothing else', async () => {
    const project = await newConfiguredProject(stage, service);
    const before = stage.kms.calls().length;
    stage.kms.inject({ kind: 'throttle', count: 2 });
    await stage.tick(service);
    expect(stage.kms.calls().length - before).toBe(3);
    expect((await statusOf(service, project.projectId)).lastEvidence).toMatchObject({ verdict: 'usable' });
    stage.kms.disableKey(project.keyId);
    await stage.tick(service);
    expect(stage.kms.calls().length - before).toBe(4);
  });

  it('by itself: projects come in as events, the loop finds what is due, a change wakes it, state and event go out', async () => {
    const running = await stage.replica('running', { awsEndpoint: stage.kms.url });
    await running.start();
    const project = projectState();
    await stage.send(projectCreated, project);
    const key = stage.kms.createKey();
    const { accessKeyId: accessKeyID, secretAccessKey } = stage.kms.createAccessKey();
    const awsKms = { enabled: true, customerMasterKeyID: key.arn, region: 'US_EAST_1', accessKeyID, secretAccessKey } as const;
    valueOf(await running.useCases.change(project.id, { awsKms }));

    stage.kms.disableKey(key.keyId);
    for (const state of ['SUSPECT', 'SUSPECT', 'INVALID']) {
      const { checks } = await stage.checksOf(project.id);
      stage.clock.set(new Date((await statusOf(running, project.id)).nextCheckAt));
      stage.clock.advance(1_000);
      running.monitor.wake();
      await waitFor(async () => (await stage.checksOf(project.id)).checks > checks, { describe: 'the check that is due' });
      expect((await statusOf(running, project.id)).state).toBe(state);
    }
    await running.messaging.whenCaughtUp();
    expect(await running.readiness()).toEqual({ ok: true });
    expect(await stage.eventNames(project.id)).toEqual(['saved', 'invalidated']);
  });

  it('history older than three months goes, the rest stays', async () => {
    await newConfiguredProject(stage, service);
    await stage.tick(service);
    stage.clock.advance((HISTORY_DAYS - 1) * 86_400_000);
    await service.monitor.runDue();
    await service.housekeeping.run();
    expect(await stage.history()).toHaveLength(2);
    stage.clock.advance(2 * 86_400_000);
    await service.housekeeping.run();
    expect(await stage.history()).toHaveLength(1);
  });

  it('credentials whose sealing key is gone stop nothing and are not hidden', async () => {
    const project = await newConfiguredProject(stage, service);
    const forgetful = await stage.replica('forgetful', { sealingKeys: stage.otherSealingKeys() });
    for (let check = 0; check < 5; check += 1) await stage.tick(forgetful);
    expect(await statusOf(service, project.projectId)).toMatchObject({
      state: 'VALID',
      lastEvidence: { errorName: 'SealingKeyUnknownError' },
    });
    expect(await stage.eventNames()).toEqual(['saved', 'attention-needed']);
  });
});
