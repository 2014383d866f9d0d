import type { ReplicaSetChanges } from '@atrest/contracts';
import type { MemberStatus } from '@atrest/mongod';
import { describe, expect, it } from 'vitest';
import { nextMembershipStep, type ConfiguredMember, type MembershipStep } from './membership.js';

const none: ReplicaSetChanges = { joining: [], leaving: [], yields: false };
const joiner = (id: number, change: object = {}) => ({ id, host: `h:${id}`, priority: 1, votes: 1, arbiterOnly: false, ...change });
const configured = (id: number, change: Partial<ConfiguredMember> = {}): ConfiguredMember => ({
  _id: id,
  host: `h:${id}`,
  priority: 1,
  votes: 1,
  ...change,
});
const seen = (id: number, state = 'SECONDARY'): MemberStatus => ({
  id,
  name: `h:${id}`,
  healthy: state !== 'DOWN',
  state,
  self: id === 0,
  opTime: null,
});

/** As the primary h:0 sees it. */
function next(changes: Partial<ReplicaSetChanges>, members: ConfiguredMember[], states: Record<number, string> = {}): MembershipStep {
  const status = members.map(({ _id }) => seen(_id, states[_id] ?? (_id === 0 ? 'PRIMARY' : 'SECONDARY')));
  return nextMembershipStep({ ...none, ...changes }, { version: 1, members }, { set: 'rs', members: status });
}
const three = [configured(0), configured(1), configured(2)];
const four = [...three, configured(3, { votes: 0, priority: 0 })];

describe('the members of a set', () => {
  it('a new one is added without a vote, and gets it when it has the data', () => {
    const joining = [joiner(3), joiner(4)];
    expect(next({ joining }, three)).toMatchObject({ kind: 'reconfigure', members: [{}, {}, {}, { host: 'h:3', votes: 0, priority: 0 }] });
    expect(next({ joining }, four, { 3: 'STARTUP2' })).toEqual({ kind: 'wait', because: 'h:3 is STARTUP2' });
    expect(next({ joining }, four)).toMatchObject({ kind: 'reconfigure', members: [{}, {}, {}, { host: 'h:3', votes: 1, priority: 1 }] });
    // One at a time: the second one comes when the first one votes.
    const voting = [...three, configured(3)];
    expect(next({ joining }, voting)).toMatchObject({ kind: 'reconfigure', what: 'adding h:4' });
    expect(next({ joining: [joiner(3)] }, voting)).toEqual({ kind: 'none' });
    expect(next({ joining: [joiner(3, { arbiterOnly: true, priority: 0 })] }, three)).toMatchObject({
      members: [{}, {}, {}, { votes: 1, arbiterOnly: true }],
    });
  });

  it('an id that another member has is not given twice, and what the configuration says besides is kept', () => {
    const members = [configured(0), configured(7, { tags: { dc: 'east' } } as object)];
    const step = next({ joining: [joiner(7, { host: 'n:1' })] }, members);
    expect(step).toMatchObject({ members: [{}, { tags: { dc: 'east' } }, { _id: 8, host: 'n:1' }] });
  });

  it('they join before others leave; the primary hands over and leaves last', () => {
    expect(next({ joining: [joiner(3)], leaving: ['h:1'] }, four, { 3: 'STARTUP2' }).kind).toBe('wait');
    expect(next({ leaving: ['h:0', 'h:1'] }, [...three, configured(3)])).toMatchObject({ kind: 'reconfigure', what: 'taking out h:1' });
    expect(next({ leaving: ['h:0'] }, three)).toEqual({ kind: 'step-down' });
    expect(next({ leaving: ['h:9'] }, three)).toEqual({ kind: 'none' });
  });

  it('nobody is taken out when the rest would have no majority or nobody who can be primary', () => {
    expect(next({ leaving: ['h:1'] }, three, { 2: 'DOWN' })).toMatchObject({
      kind: 'blocked',
      because: expect.stringContaining('majority'),
    });
    expect(next({ leaving: ['h:2'] }, three, { 2: 'DOWN' })).toMatchObject({ kind: 'reconfigure' });
    const weak = [configured(0), configured(1, { priority: 0 }), configured(2, { priority: 0 })];
    expect(next({ leaving: ['h:0'] }, weak)).toMatchObject({ kind: 'blocked', because: expect.stringContaining('primary') });
  });

  it('a primary that has to yield steps down only when another one can take over', () => {
    expect(next({ yields: true }, three)).toEqual({ kind: 'step-down' });
    expect(next({ yields: true }, three, { 1: 'RECOVERING', 2: 'DOWN' }).kind).toBe('wait');
    expect(next({ yields: true }, [configured(0)]).kind).toBe('wait');
  });
});
