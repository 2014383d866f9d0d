import { ALERT_LEVELS } from '@atrest/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { KmsValidationService } from './kms-validation.service.js';
import {
  MINUTE,
  newConfiguredProject,
  START,
  Stage,
  statusOf,
  valueOf,
  type ConfiguredProject,
  type Route,
} from './test-support/stage.contract.js';

/*
 * A day of outage, check by check, through the real AWS SDK: no shortcut for the fault itself. Only the clock is simulated, and the
 * pauses between the retries of one check are left out.
 */
const DAY_MS = 86_400_000;

/** A service whose keys cannot be asked for a day, each for a reason of its own. */
interface Day {
  readonly stage: Stage;
  readonly service: KmsValidationService;
  readonly intervalMs: number;
}

async function prepare(name: string, intervalMs: number): Promise<Day> {
  const stage = await Stage.open(name, { policy: { intervalMs } });
  return { stage, service: await stage.replica(), intervalMs };
}

async function pass({ stage, service, intervalMs }: Day): Promise<void> {
  while (stage.clock.now().getTime() < START.getTime() + DAY_MS) {
    stage.clock.advance(intervalMs);
    await service.monitor.runDue();
  }
}

function reroute({ stage }: Day, project: ConfiguredProject, change: Partial<Route>): void {
  stage.routes.set(project.credentials.accessKeyId, { endpoint: stage.kms.url, requestTimeoutMs: 5_000, ...change });
}

/** What must be true after every one of these days. */
async function expectNothingStopped({ stage, service, intervalMs }: Day, { projectId }: ConfiguredProject, reason: string): Promise<void> {
  const { samples, checks } = await stage.checksOf(projectId);
  expect(checks).toBe(DAY_MS / intervalMs);
  expect(new Set(samples.map((sample) => `${sample.verdict} ${sample.reason}`))).toEqual(new Set([`transient ${reason}`]));
  expect((await statusOf(service, projectId)).state).toBe('VALID');
  expect(valueOf(await service.useCases.historyOf(projectId, 'AWS')).changes).toEqual([]);

  const [saved, unreachable, ...others] = await stage.events(projectId);
  expect([saved?.name, unreachable?.name]).toEqual(['saved', 'became-unreachable']);
  // The longer it lasts, the more people hear of it.
  expect([unreachable!, ...others].map(({ data: { alertLevel } }) => alertLevel)).toEqual(ALERT_LEVELS);
  const { data } = unreachable!;
  expect(data).toMatchObject({ state: 'VALID', lastProvenAt: START.toISOString(), evidence: [{ verdict: 'transient' }] });
  expect(Date.parse(data.evidence[0]!.at) - Date.parse(data.unreachableSince!)).toBe(5 * MINUTE);
}

/** The day after: one answer, and one event that says so. */
async function expectReachable({ stage, service }: Day, { projectId }: ConfiguredProject): Promise<void> {
  expect(await service.useCases.check(projectId, 'AWS')).toMatchObject({ kind: 'done', value: { verdict: 'usable' } });
  expect(await statusOf(service, projectId)).toMatchObject({ state: 'VALID', unreachableSince: null });
  const told = ['became-unreachable', 'unreachable-escalated', 'unreachable-escalated', 'became-reachable'];
  expect(await stage.eventNames(projectId)).toEqual(['saved', ...told]);
}

describe('24 simulated hours without an answer stop nothing', () => {
  let minutes: Day;
  let throttled: ConfiguredProject;
  let broken: ConfiguredProject;
  let unresolved: ConfiguredProject;
  /** Each request that hangs costs real time, so its day has fewer checks. */
  let fives: Day;
  let hanging: ConfiguredProject;

  beforeAll(async () => {
    [minutes, fives] = await Promise.all([prepare('outages', MINUTE), prepare('hanging', 5 * MINUTE)]);
    throttled = await newConfiguredProject(minutes.stage, minutes.service);
    broken = await newConfiguredProject(minutes.stage, minutes.service);
    unresolved = await newConfiguredProject(minutes.stage, minutes.service);
    hanging = await newConfiguredProject(fives.stage, fives.service);
    minutes.stage.kms.inject({ kind: 'throttle', keyId: throttled.keyId });
    minutes.stage.kms.inject({ kind: 'error', status: 503, keyId: broken.keyId });
    // A label of more than 63 letters is no name: the resolver answers ENOTFOUND by itself, on every machine.
    reroute(minutes, unresolved, { endpoint: `http://kms.${'x'.repeat(64)}.invalid` });
    fives.stage.kms.inject({ kind: 'hang' });
    reroute(fives, hanging, { requestTimeoutMs: 20 });
    await Promise.all([pass(minutes), pass(fives)]);
    // Several times what it takes on a shared machine with two cores; it only ends what hangs.
  }, 240_000);
  afterAll(() => Promise.all([minutes, fives].map((day) => day?.stage.close())));

  const endFaults = (): void => {
    for (const { stage } of [minutes, fives]) {
      stage.kms.clearFaults();
      stage.routes.clear();
    }
  };

  it('F08 throttled for hours', async () => {
    await expectNothingStopped(minutes, throttled, 'THROTTLED');
    // Each check tried three times.
    expect(minutes.stage.kms.calls({ outcome: 'ThrottlingException' })).toHaveLength(3 * 1_440);
    endFaults();
    await expectReachable(minutes, throttled);
  });

  it('F09 5xx for hours', async () => {
    await expectNothingStopped(minutes, broken, 'PROVIDER_ERROR');
    expect(minutes.stage.kms.calls({ outcome: 'fault:error' })).toHaveLength(3 * 1_440);
    endFaults();
    await expectReachable(minutes, broken);
  });

  it('F10 DNS failure', async () => {
    await expectNothingStopped(minutes, unresolved, 'NETWORK');
    // Only the proof when the settings were saved came through.
    expect(minutes.stage.kms.calls({ accessKeyId: unresolved.credentials.accessKeyId, outcome: 'ok' })).toHaveLength(2);
    endFaults();
    await expectReachable(minutes, unresolved);
  });

  it('F12 the KMS reads every request and never answers', async () => {
    await expectNothingStopped(fives, hanging, 'TIMEOUT');
    // On a busy machine a request may time out before it was read; nearly all are.
    expect(fives.stage.kms.calls({ outcome: 'fault:hang' }).length).toBeGreaterThan(2 * 288);
    endFaults();
    await expectReachable(fives, hanging);
  });
});
