import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { KmsValidationService } from './kms-validation.service.js';
import { MINUTE, newConfiguredProject, START, Stage, statusOf, type ConfiguredProject, type Route } from './test-support/stage.contract.js';

/*
 * A day of outage, check by check, through the real AWS SDK: no shortcut for the fault itself. Only the clock is simulated, and the
 * pauses between the retries of one check are left out.
 */
const DAY_MS = 86_400_000;

interface Outage {
  readonly stage: Stage;
  readonly service: KmsValidationService;
  readonly project: ConfiguredProject;
  readonly intervalMs: number;
  checks: number;
}

async function prepare(name: string, intervalMs: number): Promise<Outage> {
  const stage = await Stage.open(name, { policy: { intervalMs } });
  const service = await stage.replica();
  return { stage, service, project: await newConfiguredProject(stage, service), intervalMs, checks: 0 };
}

async function lastADay(outage: Outage): Promise<void> {
  const { stage, service, intervalMs } = outage;
  while (stage.clock.now().getTime() < START.getTime() + DAY_MS) {
    stage.clock.advance(intervalMs);
    outage.checks += await service.monitor.runDue();
  }
}

const route = (outage: Outage, change: Partial<Route>): void => {
  outage.stage.routes.set(outage.project.credentials.accessKeyId, { endpoint: outage.stage.kms.url, requestTimeoutMs: 5_000, ...change });
};

/** What must be true after every one of these days, and after their end. */
async function expectNothingStopped(outage: Outage, checks: number): Promise<void> {
  const { stage, service, project } = outage;
  expect(outage.checks).toBe(checks);
  expect(await stage.eventNames()).toEqual(['saved', 'became-unreachable']);
  const { data } = (await stage.events())[1]!;
  expect(data).toMatchObject({ state: 'VALID', lastProvenAt: START.toISOString(), evidence: [{ verdict: 'transient' }] });
  const announcedAfter = Date.parse(data.evidence[0]!.at) - Date.parse(data.unreachableSince!);
  expect(announcedAfter).toBe(5 * MINUTE);
  const history = await stage.history();
  expect(history).toHaveLength(checks);
  expect(new Set(history.map((check) => `${check.verdict} ${check.state_after}`))).toEqual(new Set(['transient VALID']));

  stage.kms.clearFaults();
  stage.routes.clear();
  await stage.tick(service);
  expect(await statusOf(service, project.projectId)).toMatchObject({
    state: 'VALID',
    unreachableSince: null,
    lastEvidence: { verdict: 'usable' },
  });
  expect(await stage.eventNames()).toEqual(['saved', 'became-unreachable', 'became-reachable']);
}

describe('24 simulated hours without an answer stop nothing', () => {
  let throttled: Outage;
  let broken: Outage;
  let unresolved: Outage;
  let hanging: Outage;

  beforeAll(async () => {
    [throttled, broken, unresolved, hanging] = await Promise.all([
      prepare('throttled', MINUTE),
      prepare('broken', MINUTE),
      prepare('unresolved', MINUTE),
      // Each hanging request costs real time, so this day has fewer checks.
      prepare('hanging', 5 * MINUTE),
    ]);
    throttled.stage.kms.inject({ kind: 'throttle' });
    broken.stage.kms.inject({ kind: 'error', status: 503, operations: ['Decrypt'] });
    // A label of more than 63 letters is no name: the resolver answers ENOTFOUND by itself, on every machine.
    route(unresolved, { endpoint: `http://kms.${'x'.repeat(64)}.invalid` });
    hanging.stage.kms.inject({ kind: 'hang' });
    route(hanging, { requestTimeoutMs: 20 });
    await Promise.all([throttled, broken, unresolved, hanging].map(lastADay));
    // Four times what it takes on a shared machine with two cores; it only ends what hangs.
  }, 240_000);
  afterAll(() => Promise.all([throttled, broken, unresolved, hanging].map(({ stage }) => stage.close())));

  it('F08 throttled for hours', async () => {
    expect(throttled.stage.kms.calls({ outcome: 'ThrottlingException' }).length).toBe(3 * 1_440);
    await expectNothingStopped(throttled, 1_440);
  });

  it('F09 5xx for hours', async () => {
    expect(broken.stage.kms.calls({ outcome: 'fault:error' }).length).toBe(3 * 1_440);
    await expectNothingStopped(broken, 1_440);
  });

  it('F10 DNS failure', async () => {
    expect((await statusOf(unresolved.service, unresolved.project.projectId)).lastEvidence).toMatchObject({ reason: 'NETWORK' });
    // Only the proof when the settings were saved came through.
    expect(unresolved.stage.kms.calls()).toHaveLength(2);
    await expectNothingStopped(unresolved, 1_440);
  });

  it('F12 the KMS reads every request and never answers', async () => {
    // On a busy machine a request may time out before it was read; nearly all are.
    expect(hanging.stage.kms.calls({ outcome: 'fault:hang' }).length).toBeGreaterThan(2 * 288);
    expect((await statusOf(hanging.service, hanging.project.projectId)).lastEvidence).toMatchObject({ reason: 'TIMEOUT' });
    await expectNothingStopped(hanging, 288);
  });
});
