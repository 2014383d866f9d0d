import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { at } from './mongod-harness.contract.js';
import { chooseStepUp, compareOpTimes, initialConfiguration, type MemberStatus } from './replica-set.js';

const memberOf = (id: number) => ({ id, host: `h:${id}`, priority: 1, votes: 1, arbiterOnly: false });
const configured = [memberOf(0), memberOf(1), memberOf(2)];
const member = (id: number, change: Partial<MemberStatus> = {}): MemberStatus => ({
  id,
  name: `h:${id}`,
  healthy: true,
  state: 'SECONDARY',
  self: id === 0,
  opTime: { term: 1, timestamp: 7n },
  ...change,
});
const choose = (members: MemberStatus[], members2 = configured) => chooseStepUp({ set: 'rs0', members }, members2);

describe('which member is stepped up', () => {
  it('the one that is asked, when all are equally recent', () => {
    expect(choose([member(0, { self: false }), member(1, { self: true }), member(2)])).toEqual({ kind: 'step-up', host: 'h:1' });
  });

  it('the most recent one, wherever it runs: term first, then timestamp', () => {
    const recent = member(2, { opTime: { term: 2, timestamp: 1n } });
    expect(choose([member(0), member(1, { opTime: { term: 1, timestamp: 99n } }), recent])).toEqual({ kind: 'step-up', host: 'h:2' });
  });

  it.each([
    ['not seen', member(2, { healthy: false, state: '(not reachable/healthy)' })],
    ['still syncing', member(2, { state: 'STARTUP2' })],
    ['recovering', member(2, { state: 'RECOVERING' })],
  ])('none while a member is %s', (_, late) => {
    expect(choose([member(0), member(1), late]).kind).toBe('wait');
  });

  it('none while a configured member is missing, and none beside a primary', () => {
    expect(choose([member(0), member(1)]).kind).toBe('wait');
    expect(choose([member(0), member(1, { state: 'PRIMARY' }), member(2)])).toEqual({ kind: 'has-primary' });
  });

  it('never an arbiter or a member without priority', () => {
    const mixed = [memberOf(0), { ...memberOf(1), priority: 0 }, { ...memberOf(2), arbiterOnly: true }];
    const members = [member(0), member(1, { opTime: { term: 9, timestamp: 9n } }), member(2, { state: 'ARBITER', opTime: null })];
    expect(choose(members, mixed)).toEqual({ kind: 'step-up', host: 'h:0' });
  });

  it('never one that is behind another electable member', () => {
    const opTime = fc.record({ term: fc.nat(3), timestamp: fc.nat(5).map(BigInt) });
    fc.assert(
      fc.property(fc.tuple(opTime, opTime, opTime), (times) => {
        const choice = choose(times.map((time, id) => member(id, { opTime: time })));
        if (choice.kind !== 'step-up') throw new Error('a complete set has a member to step up');
        const chosen = times.filter((_, id) => choice.host === `h:${id}`);
        for (const other of times) expect(compareOpTimes(at(chosen, 0), other)).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});

it('a config server set says so in its first configuration', () => {
  expect(initialConfiguration({ name: 'cfg', role: 'config', members: configured.slice(0, 1) })).toEqual({
    _id: 'cfg',
    configsvr: true,
    members: [{ _id: 0, host: 'h:0', priority: 1, votes: 1 }],
  });
});
