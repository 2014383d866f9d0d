import { faultScale, kafkaAvailable, waitFor } from '@atrest/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LIMIT_MS, ServicesWorld } from '../test-support/services-world.contract.js';

const VICTIMS = ['fleet', 'kms-validation', 'notification', 'restore-execution', 'snapshot-catalog'] as const;
/** Each once; at the full scale (`ATREST_FAULTS=full`, docs/reference/faults-on-kafka.md) forty times. */
const ROUNDS = faultScale('ROUNDS', VICTIMS.length);

/** Each alone is tried every day on a smaller system (libs/platform/messaging-kafka/src/faults.int.spec.ts). */
const SERVERS = ROUNDS < 200 ? [['broker', 'PostgreSQL']] : [['broker'], ['PostgreSQL'], ['broker', 'PostgreSQL']];

describe.skipIf(!(await kafkaAvailable()))('faults of services in processes of their own', { timeout: 600_000 + ROUNDS * 30_000 }, () => {
  let world: ServicesWorld;

  beforeAll(async () => {
    world = await ServicesWorld.start();
  }, 600_000);
  afterAll(() => world?.close());

  /** Somewhere within a few changes. */
  const somewhere = (): number => 1 + Math.floor(Math.random() * 12);

  /** After every projection equals its aggregate: whether there are more than before, and what was parked. */
  async function outcome(before: Readonly<Record<string, number>>): Promise<{ readonly parked: number; readonly grew: boolean }> {
    const { aggregates, parked } = await world.comparison();
    return { parked, grew: ['fleet.project', 'fleet.service_account'].every((kind) => aggregates[kind]! > before[kind]!) };
  }

  /** As a crash does. Who owns PostgreSQL starts it again; while it is away after the last time there is nothing to kill. */
  const killPostgres = (): Promise<boolean> =>
    waitFor(() => process.kill(world.system.postgres.pid, 'SIGQUIT'), { describe: 'PostgreSQL to run', limitMs: LIMIT_MS });

  it(`kill -9 of each service at random points, ${ROUNDS} rounds`, async () => {
    const { aggregates: before } = await world.comparison();
    const traffic = world.traffic();
    for (let round = 0; round < ROUNDS; round += 1) {
      const victim = world.system.programs.get(VICTIMS[round % VICTIMS.length]!)!;
      await traffic.progress(somewhere());
      await waitFor(() => victim.pid !== null, { describe: `${victim.name} to run`, limitMs: LIMIT_MS });
      victim.kill();
      await waitFor(() => victim.pid === null, { describe: `${victim.name} to end`, limitMs: LIMIT_MS });
    }
    await traffic.progress(somewhere());
    await traffic.stop();
    expect(await outcome(before)).toEqual({ parked: 0, grew: true });
    for (const name of VICTIMS.slice(0, ROUNDS)) expect(world.system.programs.get(name)!.restarts).toBeGreaterThan(0);
  });

  it(`kill -9 of ${SERVERS.map((victims) => victims.join(' and ')).join(', then of ')}`, async ({ skip }) => {
    const kafka = world.system.kafka ?? skip('the broker of KAFKA_BROKERS is not ours to stop');
    const { aggregates: before } = await world.comparison();
    const traffic = world.traffic();
    for (const victims of SERVERS) {
      await traffic.progress(somewhere());
      if (victims.includes('PostgreSQL')) await killPostgres();
      if (victims.includes('broker')) {
        await kafka.halt('SIGKILL');
        // Changes go on: they need no broker.
        await traffic.progress(somewhere());
        await kafka.resume();
      }
    }
    await traffic.progress(somewhere());
    await traffic.stop();
    expect(await outcome(before)).toEqual({ parked: 0, grew: true });
  });
});
