import type { ProcessGoal } from '@atrest/contracts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { converge, type Action, type Authority, type ConvergeSettings, type Reality } from './converge.js';
import { Restarts } from './restarts.js';

const settings: ConvergeSettings = { killAfterMs: 600_000, stepUpPatienceMs: 15_000, deniedRetryMs: 5_000 };
const NOW = 1_000_000;

const goal: ProcessGoal = {
  id: 'a'.repeat(24),
  clusterId: 'b'.repeat(24),
  clusterName: 'shop',
  kind: 'mongod',
  desired: 'running',
  reason: null,
  requiresKey: true,
  deleteData: false,
  adopted: false,
  bindIp: '127.0.0.1',
  port: 27017,
  dbPath: '/data/a',
  extraArguments: [],
  replicaSet: { name: 'rs0', role: 'plain', members: [], leads: true },
  router: null,
};

const absent: Reality = {
  presence: { kind: 'absent' },
  ready: false,
  stop: null,
  deniedAt: null,
  retryAt: null,
  dataExists: true,
  wasMember: false,
  set: null,
  router: null,
  membership: null,
  users: null,
  administration: { busy: false, retryAt: 0, steppedUpAt: null },
};
const present: Reality = { ...absent, presence: { kind: 'present', pid: 42 } };
const member = { self: 'member', primarySeen: false, peers: 'unknown', choice: { kind: 'step-up', host: 'h:1' } } as const;
const fresh = { self: 'uninitialized', primarySeen: false, peers: 'uninitialized', choice: null } as const;
const router = { ...goal, kind: 'mongos' as const, dbPath: null, replicaSet: null };

function decide(
  change: Partial<ProcessGoal>,
  reality: Partial<Reality> & { presence: Reality['presence'] },
  authority: Authority = 'confirmed',
) {
  return converge({ goal: { ...goal, ...change }, authority, reality: { ...absent, ...reality }, settings, now: NOW });
}
const nothing = { action: null, wakeAt: null, blocked: null };

describe('F37 a process that ended because its key is gone', () => {
  const ended = (now: number): Reality => {
    const restarts = new Restarts({ restartBaseMs: 1_000, restartMaxMs: 60_000, stableAfterMs: 60_000 });
    restarts.failed({ readyForMs: 900_000, endedForKey: true }, now);
    return { ...absent, retryAt: restarts.retryAt };
  };

  it('F37 is started again only after a wait, and from a remembered goal not even then', () => {
    const reality = ended(NOW);
    expect(decide({}, reality)).toEqual({ ...nothing, wakeAt: reality.retryAt });
    expect(reality.retryAt).toBeGreaterThan(NOW + 20_000);
    const over = ended(NOW - 60_000);
    expect(decide({}, over).action).toEqual({ kind: 'start' });
    expect(decide({}, over, 'remembered')).toMatchObject({ action: null, blocked: expect.stringMatching(/customer key/) });
  });

  it('F37 is not started at all once its configuration is INVALID: it is ordered to stop, or waits for its turn to', () => {
    const over = ended(NOW - 60_000);
    expect(decide({ desired: 'stopped' }, over)).toEqual(nothing);
    expect(decide({ mayStart: false }, over)).toMatchObject({ action: null, wakeAt: null });
  });
});

describe('from what is to what should be', () => {
  const table: [what: string, change: Partial<ProcessGoal>, reality: Reality, action: Action['kind'] | null, wakeAt?: number][] = [
    ['starts what should run and does not', {}, absent, 'start'],
    ['leaves alone what runs', {}, { ...present, ready: true }, null],
    ['waits for a process that starts', {}, present, null],
    ['waits out a failure', {}, { ...absent, retryAt: NOW + 10 }, null, NOW + 10],
    ['starts again when the wait is over', {}, { ...absent, retryAt: NOW }, 'start'],
    ['does nothing before it has looked', {}, { ...absent, presence: { kind: 'unknown' } }, null],
    ['stops what should be stopped', { desired: 'stopped' }, { ...present, ready: true }, 'terminate'],
    ['stops what is still starting', { desired: 'stopped' }, present, 'terminate'],
    ['starts nothing whose turn to stop only comes later', { mayStart: false }, absent, null],
    ['keeps what is stopped', { desired: 'stopped' }, absent, null],
    [
      'F29 sends no second SIGTERM',
      { desired: 'stopped' },
      { ...present, stop: { signalledAt: NOW - 1, killedAt: null } },
      null,
      NOW - 1 + 600_000,
    ],
    [
      'F29 kills only when all patience is over',
      { desired: 'stopped' },
      { ...present, stop: { signalledAt: NOW - 600_000, killedAt: null } },
      'kill',
    ],
    ['F29 kills once', { desired: 'stopped' }, { ...present, stop: { signalledAt: 0, killedAt: NOW - 1 } }, null],
    [
      'F35 sees a stop through before it starts again',
      {},
      { ...present, stop: { signalledAt: NOW - 1, killedAt: null } },
      null,
      NOW - 1 + 600_000,
    ],
    ['F35 starts again once the process has ended', {}, absent, 'start'],
    ['does not hammer a process of another user', { desired: 'stopped' }, { ...present, deniedAt: NOW - 1 }, null, NOW - 1 + 5_000],
    ['stops before it removes', { desired: 'removed', deleteData: true }, present, 'terminate'],
    ['removes data on order', { desired: 'removed', deleteData: true }, absent, 'remove-data'],
    ['does not hammer a removal that fails', { desired: 'removed', deleteData: true }, { ...absent, retryAt: NOW + 5 }, null, NOW + 5],
    ['forgets what is gone', { desired: 'removed', deleteData: true }, { ...absent, dataExists: false }, 'forget'],
    ['keeps the data when the order does not say so', { desired: 'removed' }, absent, 'forget'],
    ['keeps the data of an adopted process', { desired: 'removed', deleteData: true, adopted: true }, absent, 'forget'],
    ['initiates a new set when all members are there', {}, { ...present, ready: true, set: fresh }, 'initiate'],
    ['does not initiate while a member is missing', {}, { ...present, ready: true, set: { ...fresh, peers: 'unreachable' } }, null],
    ['does not initiate beside a member that has data', {}, { ...present, ready: true, set: { ...fresh, peers: 'initialized' } }, null],
    ['does not initiate an adopted set', { adopted: true }, { ...present, ready: true, set: fresh }, null],
    ['does not initiate what has lost its data', {}, { ...present, ready: true, set: fresh, wasMember: true }, null],
    ['steps up the chosen member', {}, { ...present, ready: true, set: member }, 'step-up'],
    ['leaves elections to a set that has had a primary', {}, { ...present, ready: true, set: { ...member, primarySeen: true } }, null],
    [
      'does not make members compete',
      {},
      { ...present, ready: true, set: member, administration: { busy: false, retryAt: 0, steppedUpAt: NOW - 1 } },
      null,
      NOW - 1 + 15_000,
    ],
    [
      'gives one command at a time',
      {},
      { ...present, ready: true, set: member, administration: { busy: true, retryAt: 0, steppedUpAt: null } },
      null,
    ],
    [
      'waits out a failed command',
      {},
      { ...present, ready: true, set: fresh, administration: { busy: false, retryAt: NOW + 7, steppedUpAt: null } },
      null,
      NOW + 7,
    ],
    ['lets only the leader act', { replicaSet: { ...goal.replicaSet!, leads: false } }, { ...present, ready: true, set: member }, null],
  ];

  it.each(table)('%s', (_, change, reality, action, wakeAt) => {
    const decision = decide(change, reality);
    expect(decision.action?.kind ?? null).toBe(action);
    if (action === null) expect(decision.wakeAt).toBe(wakeAt ?? null);
  });

  it('adds exactly the shards that are missing', () => {
    const shards = ['s1', 's2'].map((name) => ({ name, connection: `${name}/h:1` }));
    const lead = { ...router, router: { configDB: 'c/h:1', shards, leads: true } };
    const ready = { ...present, ready: true };
    expect(decide(lead, { ...ready, router: { shards: ['s1'] } }).action).toEqual({ kind: 'add-shards', names: ['s2'] });
    expect(decide(lead, { ...ready, router: { shards: ['s1', 's2', 'other'] } })).toEqual(nothing);
    expect(decide(lead, { ...ready, router: { shards: null } })).toEqual(nothing);
    expect(decide({ ...lead, adopted: true }, { ...ready, router: { shards: ['theirs'] } })).toEqual(nothing);
  });

  it('starts from a remembered goal only what needs no key, and deletes nothing from it', () => {
    expect(decide({ requiresKey: true }, absent, 'remembered')).toMatchObject({
      action: null,
      blocked: expect.stringMatching(/customer key/),
    });
    expect(decide({ requiresKey: false }, absent, 'remembered').action).toEqual({ kind: 'start' });
    expect(decide({ desired: 'stopped' }, present, 'remembered').action).toEqual({ kind: 'terminate' });
    expect(decide({ desired: 'removed', deleteData: true }, absent, 'remembered').action).toBeNull();
  });
});

describe('whatever is seen', () => {
  const time = fc.integer({ min: NOW - 2_000_000, max: NOW + 100_000 });
  const anyGoal = fc.record({
    desired: fc.constantFrom('running' as const, 'stopped' as const, 'removed' as const),
    requiresKey: fc.boolean(),
    mayStart: fc.boolean(),
    deleteData: fc.boolean(),
    adopted: fc.boolean(),
    replicaSet: fc.option(fc.boolean().map((leads) => ({ ...goal.replicaSet!, leads }))),
    router: fc.option(fc.boolean().map((leads) => ({ configDB: 'c/h:1', shards: [{ name: 's', connection: 's/h:1' }], leads }))),
  });
  const anyReality: fc.Arbitrary<Reality> = fc.record({
    presence: fc.constantFrom<Reality['presence']>({ kind: 'unknown' }, { kind: 'absent' }, { kind: 'present', pid: 1 }),
    ready: fc.boolean(),
    stop: fc.option(fc.record({ signalledAt: time, killedAt: fc.option(time) })),
    deniedAt: fc.option(time),
    retryAt: fc.option(time),
    dataExists: fc.boolean(),
    wasMember: fc.boolean(),
    set: fc.option(
      fc.record({
        self: fc.constantFrom('uninitialized' as const, 'member' as const, 'other' as const),
        primarySeen: fc.boolean(),
        peers: fc.constantFrom('unknown' as const, 'unreachable' as const, 'initialized' as const, 'uninitialized' as const),
        choice: fc.constantFrom(
          null,
          { kind: 'has-primary' } as const,
          { kind: 'step-up', host: 'h:1' } as const,
          { kind: 'wait', because: '' } as const,
        ),
      }),
    ),
    router: fc.option(fc.record({ shards: fc.option(fc.subarray(['s', 't'])) })),
    membership: fc.constantFrom(null, { kind: 'step-down' } as const, { kind: 'reconfigure', members: [], what: 'adding' } as const),
    users: fc.constantFrom<Reality['users']>(
      null,
      { kind: 'in-place', administrator: null },
      { kind: 'missing', agent: false, ready: false, administrator: null },
      { kind: 'foreign', because: '' },
    ),
    administration: fc.record({ busy: fc.boolean(), retryAt: time, steppedUpAt: fc.option(time) }),
  });
  const anyAuthority = fc.constantFrom<Authority>('confirmed', 'remembered');

  it('no process is started, killed or deprived of its data against the rules', () => {
    fc.assert(
      fc.property(anyGoal, anyReality, anyAuthority, (change, reality, authority) => {
        const wanted = { ...goal, ...change };
        const { action, wakeAt } = converge({ goal: wanted, authority, reality, settings, now: NOW });
        if (wakeAt !== null) expect(wakeAt).toBeGreaterThan(NOW);
        if (reality.presence.kind === 'unknown') expect(action).toBeNull();
        switch (action?.kind) {
          case 'start':
            expect(wanted.desired).toBe('running');
            expect(reality.presence.kind).toBe('absent');
            expect(authority === 'confirmed' || !wanted.requiresKey).toBe(true);
            expect(wanted.mayStart).not.toBe(false);
            break;
          case 'terminate':
            expect(wanted.desired).not.toBe('running');
            expect(reality).toMatchObject({ presence: { kind: 'present' }, stop: null });
            break;
          case 'kill':
            expect(reality.presence.kind).toBe('present');
            expect(reality.stop?.killedAt).toBeNull();
            expect(NOW - reality.stop!.signalledAt).toBeGreaterThanOrEqual(settings.killAfterMs);
            break;
          case 'remove-data':
            expect(wanted).toMatchObject({ desired: 'removed', deleteData: true, adopted: false });
            expect(reality.presence.kind).toBe('absent');
            expect(authority).toBe('confirmed');
            break;
          case 'forget':
            expect(wanted.desired).toBe('removed');
            expect(reality.presence.kind).toBe('absent');
            break;
          case 'initiate':
            expect(wanted.adopted).toBe(false);
            expect(reality.set).toMatchObject({ self: 'uninitialized', peers: 'uninitialized' });
            expect(reality.wasMember).toBe(false);
            break;
          case 'step-up':
            expect(reality.set?.primarySeen).toBe(false);
            expect(NOW - (reality.administration.steppedUpAt ?? -Infinity)).toBeGreaterThanOrEqual(settings.stepUpPatienceMs);
            break;
          case 'make-users':
            expect(reality.users?.kind).toBe('missing');
            break;
          case 'add-shards':
          case 'reconfigure':
          case 'step-down':
          case undefined:
            break;
        }
        if (['initiate', 'step-up', 'make-users', 'add-shards', 'reconfigure', 'step-down'].includes(action?.kind ?? '')) {
          expect(wanted.desired).toBe('running');
          expect(reality).toMatchObject({ presence: { kind: 'present' }, ready: true, stop: null, administration: { busy: false } });
        }
      }),
      { numRuns: 5_000 },
    );
  });

  it('a process that may still run is never taken for stopped: nothing but signals and waiting happens while it should not run', () => {
    fc.assert(
      fc.property(anyGoal, anyReality, anyAuthority, (change, reality, authority) => {
        const wanted = { ...goal, ...change, desired: 'stopped' as const };
        const { action } = converge({ goal: wanted, authority, reality, settings, now: NOW });
        expect([undefined, 'terminate', 'kill']).toContain(action?.kind);
      }),
    );
  });
});
