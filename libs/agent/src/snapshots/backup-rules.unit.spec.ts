import type { BackupFailureCode } from '@atrest/contracts';
import type { MemberFacts } from '@atrest/mongod';
import { SimulatedClock } from '@atrest/platform-time';
import {
  LeaseLostError,
  ObjectDamagedError,
  ObjectMissingError,
  PathRefusedError,
  SnapshotCancelledError,
  SourceChangedError,
  SourceUnreadableError,
  StoreFullError,
  StoreRefusedError,
  StoreUnavailableError,
  TooManyFilesError,
} from '@atrest/snapshot-store';
import { describe, expect, it } from 'vitest';
import { SealedForOthersError } from '../sealing-key.js';
import { BackupError } from './backup-error.js';
import { MethodFailedError, whyNone } from './consistent-copy.js';
import { failureOf } from './failure-of.js';
import { commentOf, taskOf } from './holds.js';
import { ProgressMeter } from './progress.js';
import { whatChanged, whyNotCopied, whyNotStopped } from './source-check.js';

const facts = (change: Partial<MemberFacts> = {}): MemberFacts => ({
  setName: 'rs0',
  state: 'SECONDARY',
  term: 3,
  rollbackId: 1,
  members: [],
  applied: null,
  ...change,
});

describe('a member that is copied', () => {
  it('F44 is not a stale one, nor one that recovers or rolls back', () => {
    for (const state of ['RECOVERING', 'ROLLBACK', 'STARTUP2', 'STARTUP', 'OTHER']) {
      expect(whyNotCopied(facts({ state })), state).toMatch(state);
    }
    for (const state of ['PRIMARY', 'SECONDARY', null]) expect(whyNotCopied(facts({ state }))).toBeNull();
  });

  it.each<[string, Partial<MemberFacts>, RegExp]>([
    ['that is primary by now', { state: 'PRIMARY' }, /it was SECONDARY and is PRIMARY/],
    ['whose set elected another primary', { term: 4 }, /term 3, then 4/],
    ['that rolled back', { rollbackId: 2 }, /rolled back/],
    ['that recovers', { state: 'RECOVERING' }, /RECOVERING/],
    ['that is in another set', { setName: 'rs1' }, /another replica set/],
  ])('F43 F44 and %s meanwhile is given up', (_what, change, why) => {
    expect(whatChanged(facts(), facts(change))).toMatch(why);
    expect(whatChanged(facts(change), facts(change))).toBeNull();
  });
});

describe('a member is stopped to be copied', () => {
  const member = (host: string, state: string, change: { healthy?: boolean; self?: boolean } = {}) => ({
    host,
    state,
    healthy: true,
    self: false,
    ...change,
  });
  const self = member('c:1', 'SECONDARY', { self: true });
  const set = (...votes: number[]) => ({
    name: 'rs0',
    role: 'plain' as const,
    leads: false,
    members: ['a:1', 'b:1', 'c:1'].map((host, id) => ({ id, host, priority: 1, votes: votes[id] ?? 1, arbiterOnly: false })),
  });

  it('only as long as the others have a primary and a majority of the votes', () => {
    const healthy = [member('a:1', 'PRIMARY'), member('b:1', 'SECONDARY'), self];
    expect(whyNotStopped(facts({ members: healthy }), set(1, 1, 1))).toBeNull();
    expect(whyNotStopped(facts({ members: healthy }), set(1, 0, 1))).toMatch(/1 of 2 votes/);
    const lonely = [member('a:1', 'PRIMARY'), member('b:1', 'SECONDARY', { healthy: false }), self];
    expect(whyNotStopped(facts({ members: lonely }), set())).toMatch(/only 1 of 3 votes/);
    const arbiter = [member('a:1', 'PRIMARY'), member('b:1', 'ARBITER'), self];
    expect(whyNotStopped(facts({ members: arbiter }), set())).toBeNull();
    const leaderless = [member('a:1', 'SECONDARY'), member('b:1', 'SECONDARY'), self];
    expect(whyNotStopped(facts({ members: leaderless }), set())).toMatch(/no primary/);
  });

  it('never as a primary, alone, or when nobody tells how the others are', () => {
    expect(whyNotStopped(facts({ state: 'PRIMARY' }), set())).toMatch(/it is the primary/);
    expect(whyNotStopped(facts({ setName: null, state: null }), null)).toMatch(/no replica set/);
    expect(whyNotStopped(facts(), set())).toMatch(/may not ask/);
  });
});

describe('the failure of all methods', () => {
  it.each<[BackupFailureCode[], BackupFailureCode]>([
    [['SOURCE_ACCESS_DENIED', 'SOURCE_ACCESS_DENIED'], 'SOURCE_ACCESS_DENIED'],
    [['NO_METHOD', 'SOURCE_ACCESS_DENIED'], 'NO_METHOD'],
    [['NO_METHOD', 'ALREADY_RUNNING'], 'ALREADY_RUNNING'],
    [['NO_METHOD', 'SOURCE_DISK_FULL'], 'SOURCE_DISK_FULL'],
    [['SOURCE_CHANGED', 'SOURCE_CHANGED'], 'SOURCE_CHANGED'],
    [[], 'NO_METHOD'],
  ])('%j is %s', (codes, expected) => {
    const failure = whyNone(codes.map((code, n) => new MethodFailedError(code, `${n} failed.`)));
    expect(failure.code).toBe(expected);
    expect(failure.message).toBe(codes.map((_code, n) => `${n} failed.`).join(' '));
  });
});

describe('an error means', () => {
  it.each<[Error, BackupFailureCode]>([
    [new BackupError('NO_SOURCE', 'x'), 'NO_SOURCE'],
    [new SnapshotCancelledError(), 'CANCELLED'],
    [new TooManyFilesError(100_001, 100_000), 'TOO_MANY_FILES'],
    [new SourceChangedError('a.wt', 'disappeared'), 'SOURCE_CHANGED'],
    [new SourceUnreadableError('x', { cause: { code: 'EIO' } }), 'SOURCE_CHANGED'],
    [new SourceUnreadableError('x', { cause: { code: 'EACCES' } }), 'SOURCE_ACCESS_DENIED'],
    [new StoreFullError('x'), 'STORE_FULL'],
    [new StoreRefusedError('x'), 'STORE_REFUSED'],
    [new StoreUnavailableError('x'), 'STORE_UNAVAILABLE'],
    [new LeaseLostError('x'), 'STORE_UNAVAILABLE'],
    [new ObjectMissingError('epochs/65f0c0ffee65f0c0ffee0001/manifests/65f0c0ffee65f0c0ffee0101'), 'SNAPSHOT_MISSING'],
    [new ObjectMissingError('epochs/65f0c0ffee65f0c0ffee0001/blocks/aa/aabb'), 'STORE_DAMAGED'],
    [new ObjectDamagedError('epochs/x', 'it is cut'), 'STORE_DAMAGED'],
    [new PathRefusedError('../a'), 'INTERNAL'],
    [new SealedForOthersError(), 'KEY_CHANGED'],
    [Object.assign(new Error('no space'), { code: 'ENOSPC' }), 'SOURCE_DISK_FULL'],
    [new TypeError('x'), 'INTERNAL'],
  ])('%s: %s', (error, code) => expect(failureOf(error)).toMatchObject({ code, detail: expect.stringMatching(/./) }));

  it('no more than fits into its report', () => {
    expect(failureOf(new Error('x'.repeat(10_000))).detail).toHaveLength(2_000);
  });
});

describe('progress', () => {
  it('has a rate of the last seconds and what is left by it, while it copies', () => {
    let now = 0;
    const meter = new ProgressMeter(new SimulatedClock(new Date('2026-11-23T10:00:00Z')), () => now);
    const count = (bytes: number) => meter.count({ files: 1, filesTotal: 3, bytes, bytesTotal: 10_000, storedBytes: 5 });
    expect(meter.progress).toMatchObject({ phase: 'preparing', bytes: 0, bytesPerSecond: null, secondsLeft: null });
    meter.enter('copying');
    count(0);
    expect(meter.progress.bytesPerSecond).toBeNull();
    now = 2_000;
    count(4_000);
    expect(meter.progress).toMatchObject({ phase: 'copying', bytesPerSecond: 2_000, secondsLeft: 3, at: '2026-11-23T10:00:00.000Z' });
    // The first seconds do not count for ever: it has become slow.
    for (now = 3_000; now <= 20_000; now += 1_000) count(4_000);
    expect(meter.progress).toMatchObject({ bytesPerSecond: 0, secondsLeft: null });
    meter.enter('proving');
    expect(meter.progress).toMatchObject({ phase: 'proving', bytes: 4_000, bytesPerSecond: null });
  });
});

it('a cursor of ours is told from others by its mark', () => {
  expect(taskOf({ comment: commentOf('65f0c0ffee65f0c0ffee0101') })).toBe('65f0c0ffee65f0c0ffee0101');
  for (const comment of [null, '', 'atrest', 'atrest x', 'pbm 65f0c0ffee65f0c0ffee0101']) expect(taskOf({ comment })).toBeNull();
});
