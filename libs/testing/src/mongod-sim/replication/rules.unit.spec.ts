import { Timestamp } from 'bson';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CommandError } from '../commands/command-error.js';
import { LogicalClock, NO_OP_TIME, type OpTime, compareOpTimes } from './op-time.js';
import { isNewerConfig, parseConfig } from './replica-set-config.js';
import {
  type Progress,
  chooseSyncSource,
  electionObstacle,
  isSafeToStepDown,
  judgeSource,
  majorityOf,
  majorityOpTime,
  voteRefusal,
} from './rules.js';

const at = (t: number, i: number): OpTime => ({ ts: new Timestamp({ t: 1000, i }), t });
const opTime = fc.tuple(fc.nat(3), fc.nat(5)).map(([t, i]) => at(t, i));
const progress = fc.record({ up: fc.boolean(), votes: fc.constantFrom(0, 1), electable: fc.boolean(), applied: opTime, durable: opTime });

describe('decisions of a replica set member', () => {
  it('calls that committed which a majority of the voters has on disk', () => {
    expect(majorityOpTime([])).toBeUndefined();
    fc.assert(
      fc.property(fc.array(progress, { minLength: 1, maxLength: 7 }), (members) => {
        const voters = members.filter(({ votes }) => votes > 0);
        const reached = majorityOpTime(members);
        fc.pre(voters.length > 0);
        const having = (wanted: OpTime): number => voters.filter(({ durable }) => compareOpTimes(durable, wanted) >= 0).length;
        expect(having(reached as OpTime)).toBeGreaterThanOrEqual(majorityOf(voters.length));
        for (const { durable } of voters) {
          if (compareOpTimes(durable, reached as OpTime) > 0) expect(having(durable)).toBeLessThan(majorityOf(voters.length));
        }
      }),
    );
  });

  it('lets a primary step down only when a majority that is up has everything', () => {
    fc.assert(
      fc.property(fc.array(progress, { minLength: 2, maxLength: 7 }), (members: Progress[]) => {
        if (!isSafeToStepDown(members, 0)) return;
        const mine = (members[0] as Progress).applied;
        const heirs = members.slice(1).filter(({ up, electable, applied }) => up && electable && compareOpTimes(applied, mine) >= 0);
        expect(heirs.length).toBeGreaterThan(0);
      }),
    );
    const member: Progress = { up: true, votes: 1, electable: true, applied: at(1, 1), durable: at(1, 1) };
    expect(isSafeToStepDown([member], 0)).toBe(true);
    expect(isSafeToStepDown([member, member, { ...member, up: false }], 0)).toBe(true);
    expect(isSafeToStepDown([member, { ...member, up: false }, { ...member, up: false }], 0)).toBe(false);
    expect(isSafeToStepDown([{ ...member, applied: at(1, 2) }, member, member], 0)).toBe(false);
  });

  it('gives one vote in a term, never to staler data, older terms or older configurations', () => {
    const voter = { setName: 'rs0', term: 3, configVersion: 2, configTerm: 3, lastApplied: at(3, 5), lastVoteTerm: 3 };
    const request = { setName: 'rs0', dryRun: false, term: 4, configVersion: 2, configTerm: 3, lastApplied: at(3, 5) };
    expect(voteRefusal(voter, request)).toBeUndefined();
    expect(voteRefusal({ ...voter, lastVoteTerm: 4 }, request)).toContain('already voted');
    expect(voteRefusal({ ...voter, lastVoteTerm: 4 }, { ...request, dryRun: true })).toBeUndefined();
    expect(voteRefusal(voter, { ...request, term: 2 })).toContain('lower than mine');
    expect(voteRefusal(voter, { ...request, lastApplied: at(3, 4) })).toContain('staler');
    expect(voteRefusal(voter, { ...request, lastApplied: at(2, 9) })).toContain('staler');
    expect(voteRefusal(voter, { ...request, configTerm: 2 })).toContain('older');
    expect(voteRefusal(voter, { ...request, setName: 'other' })).toContain('differs');
  });

  it('seeks no election without a majority, without priority, or while frozen', () => {
    const able = { state: 'SECONDARY' as const, priority: 1, votesUp: 2, voters: 3, frozenUntil: 0, now: 1 };
    expect(electionObstacle(able)).toBeUndefined();
    expect(electionObstacle({ ...able, votesUp: 1 })).toContain('majority');
    expect(electionObstacle({ ...able, priority: 0 })).toContain('priority');
    expect(electionObstacle({ ...able, frozenUntil: 2 })).toContain('waiting');
    expect(electionObstacle({ ...able, state: 'RECOVERING' })).toContain('RECOVERING');
  });

  it('copies from the primary, else from the most advanced member that is ahead', () => {
    const member = (state: 'PRIMARY' | 'SECONDARY' | 'STARTUP2', applied: OpTime, up = true) => ({ up, state, applied });
    expect(chooseSyncSource([member('SECONDARY', at(1, 1)), member('SECONDARY', at(1, 9)), member('PRIMARY', at(1, 2))], 0, at(1, 1))).toBe(
      2,
    );
    expect(
      chooseSyncSource([member('SECONDARY', at(1, 1)), member('SECONDARY', at(1, 2)), member('SECONDARY', at(1, 3))], 0, at(1, 1)),
    ).toBe(2);
    expect(
      chooseSyncSource([member('SECONDARY', at(1, 1)), member('SECONDARY', at(1, 1)), member('STARTUP2', at(1, 3))], 0, at(1, 1)),
    ).toBeUndefined();
    expect(
      chooseSyncSource([member('STARTUP2', NO_OP_TIME), member('SECONDARY', at(-1, 1)), member('PRIMARY', at(1, 2), false)], 0, NO_OP_TIME),
    ).toBe(1);
  });

  it('takes its history back only for a source that is ahead', () => {
    expect(judgeSource(at(1, 3), at(1, 3), at(1, 5))).toBe('follow');
    expect(judgeSource(at(1, 3), at(2, 4), at(2, 4))).toBe('diverged');
    // A former primary that goes on after we have a new one; a member that has lost its data; one that has nothing newer.
    expect(judgeSource(at(2, 3), at(1, 4), at(1, 4))).toBe('behind');
    expect(judgeSource(at(2, 3), undefined, NO_OP_TIME)).toBe('behind');
    fc.assert(
      fc.property(opTime, fc.option(opTime, { nil: undefined }), opTime, (mine, anchor, newest) => {
        if (judgeSource(mine, anchor, newest) === 'diverged') expect(compareOpTimes(newest, mine)).toBeGreaterThan(0);
      }),
    );
  });

  it('reads a configuration, fills in the defaults and refuses what mongod refuses', () => {
    const members = [
      { _id: 0, host: 'a:1' },
      { _id: 1, host: 'b' },
    ];
    const config = parseConfig({ _id: 'rs0', members }, 'rs0');
    expect(config).toMatchObject({
      version: 1,
      term: 0,
      electionTimeoutMs: 10_000,
      members: [{ host: 'a:1', votes: 1, priority: 1 }, { host: 'b:27017' }],
    });
    expect(parseConfig(config.document, 'rs0').document).toEqual(config.document);
    const wrong: unknown[] = [
      { _id: 'other', members },
      { _id: 'rs0', members: [] },
      { _id: 'rs0', members: [members[0], { _id: 0, host: 'c' }] },
      { _id: 'rs0', members: [members[0], { _id: 1, host: 'a:1' }] },
      { _id: 'rs0', members: [{ _id: 0, host: 'a', priority: 0 }] },
      { _id: 'rs0', members: [{ _id: 0, host: 'a', votes: 0 }] },
      { _id: 'rs0', members, settings: { electionTimeoutMillis: 0 } },
      'text',
    ];
    for (const value of wrong) expect(() => parseConfig(value, 'rs0')).toThrow(CommandError);
    expect(isNewerConfig({ term: 2, version: 1 }, { term: 1, version: 9 })).toBe(true);
    expect(isNewerConfig({ term: 1, version: 9 }, { term: 1, version: 9 })).toBe(false);
  });

  it('hands out times that only grow, also after a later one was seen', () => {
    const clock = new LogicalClock();
    const first = clock.next();
    clock.advance(new Timestamp({ t: first.getHighBitsUnsigned() + 100, i: 7 }));
    clock.advance(first);
    const second = clock.next();
    expect(second.greaterThan(first)).toBe(true);
    expect([second.getHighBitsUnsigned(), second.getLowBitsUnsigned()]).toEqual([first.getHighBitsUnsigned() + 100, 8]);
  });
});
