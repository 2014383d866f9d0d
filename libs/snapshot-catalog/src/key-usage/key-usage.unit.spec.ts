import { DEFINITIVE_REASONS, type DefinitiveReason } from '@atrest/contracts';
import { describe, expect, it } from 'vitest';
import { keyStanding, restorability } from './key-standing.js';
import { judgeDeletion, NO_SNAPSHOTS, type Dependents } from './key-usage.js';
import { masterKeyUUID } from './master-key-uuid.js';

const now = new Date('2026-12-01T00:00:00Z');
const later = new Date('2027-03-01T00:00:00Z');
const key = { provider: 'AWS', encryptionKeyId: 'arn:aws:kms:us-east-1:111122223333:key/1' } as const;
const configuration = {
  provider: 'AWS',
  enabled: true,
  keyId: 'alias/orders',
  resolvedKeyId: key.encryptionKeyId,
  state: 'VALID',
  reason: null,
  invalidSince: null,
  unreachableSince: null,
} as const;
const gone = (reason: DefinitiveReason) => keyStanding(key, [{ ...configuration, state: 'INVALID', reason, invalidSince: now }]);

describe('the standing of a key', () => {
  it('that proves itself is usable, and so is one that is suspected only', () => {
    expect(keyStanding(key, [configuration])).toEqual({ kind: 'USABLE', reason: null, since: null });
    expect(keyStanding(key, [{ ...configuration, state: 'SUSPECT' }])).toMatchObject({ kind: 'USABLE' });
  });

  it('a disabled key opens nothing now, a deleted one never again', () => {
    expect(gone('KEY_DISABLED')).toEqual({ kind: 'NOT_NOW', reason: 'The key is disabled: enable it.', since: now });
    expect(restorability(gone('KEY_DISABLED'))).toEqual({ kind: 'NOT_NOW', reason: 'The key is disabled: enable it.' });
    expect(restorability(gone('KEY_NOT_FOUND'))).toMatchObject({ kind: 'NEVER', reason: expect.stringContaining('deleted') });
    expect(DEFINITIVE_REASONS.filter((reason) => gone(reason).kind === 'NEVER')).toEqual([
      'KEY_NOT_FOUND',
      'CANARY_NOT_UNWRAPPED',
      'CANARY_DIFFERS',
    ]);
    for (const reason of DEFINITIVE_REASONS) expect(gone(reason).reason).not.toBe('The key is not usable.');
  });

  it('a shutdown that is held does not make its key usable, and a KMS that is away is named', () => {
    expect(keyStanding(key, [{ ...configuration, state: 'HELD', reason: 'ACCESS_DENIED' }])).toMatchObject({ kind: 'NOT_NOW' });
    expect(keyStanding(key, [{ ...configuration, unreachableSince: now }])).toMatchObject({
      kind: 'NOT_NOW',
      reason: expect.stringContaining('KMS'),
      since: now,
    });
  });

  it('of a former key is not known: nobody checks it', () => {
    const others = [
      { ...configuration, enabled: false, state: 'INVALID' as const },
      { ...configuration, resolvedKeyId: `${key.encryptionKeyId}2` },
      { ...configuration, provider: 'GCP' as const },
    ];
    expect(keyStanding(key, others)).toMatchObject({ kind: 'NOT_CHECKED' });
    expect(restorability(keyStanding(key, others))).toEqual({ kind: 'YES' });
  });
});

describe('whether a key may be deleted', () => {
  const judge = (change: Partial<Dependents>) =>
    judgeDeletion({ snapshots: NO_SNAPSHOTS, clusters: { count: 0, names: [] }, configured: false, ...change }, now);
  const needs = (change: Partial<Dependents>) => judge(change).neededFor.map(({ need }) => need);

  it('at once when nothing depends on it', () => {
    expect(judge({})).toEqual({ harmless: true, harmlessFrom: now, neededFor: [] });
  });

  it('not while clusters or the key configuration use it, and nobody can tell until when', () => {
    const use = { clusters: { count: 2, names: ['invoices', 'orders'] }, configured: true };
    expect(needs(use)).toEqual(['CLUSTERS', 'KEY_CONFIGURATION']);
    expect(judge({ ...use, snapshots: { ...NO_SNAPSHOTS, completed: 1, lastExpiresAt: later } }).harmlessFrom).toBeNull();
    expect(judge(use).neededFor[0]?.detail).toContain('2 clusters use it now: invoices, orders.');
    expect(judge({ ...use, clusters: { count: 200, names: ['a', 'b'] } }).neededFor[0]?.detail).toContain('a, b, …');
  });

  it('when its last snapshot expires', () => {
    const verdict = judge({ snapshots: { ...NO_SNAPSHOTS, completed: 12, lastExpiresAt: later } });
    expect(verdict).toMatchObject({ harmless: false, harmlessFrom: later });
    expect(verdict.neededFor).toEqual([
      { need: 'SNAPSHOTS', detail: '12 snapshots can only be restored with it. The last one expires at 2027-03-01T00:00:00Z.' },
    ]);
  });

  it('not while one is being taken, nor while the last good snapshot of a cluster is kept beyond its time', () => {
    expect(judge({ snapshots: { ...NO_SNAPSHOTS, unfinished: 1 } })).toMatchObject({ harmless: false, harmlessFrom: null });
    const kept = judge({ snapshots: { ...NO_SNAPSHOTS, completed: 1, lastExpiresAt: now } });
    expect(kept).toMatchObject({ harmless: false, harmlessFrom: null });
    expect(kept.neededFor[0]?.detail).toContain('kept until there is a newer one');
  });
});

it('the short name of a key is a UUID that follows from its name', () => {
  const id = masterKeyUUID('AWS', key.encryptionKeyId);
  expect(id).toMatch(/^[\da-f]{8}-[\da-f]{4}-8[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
  expect(masterKeyUUID('AWS', key.encryptionKeyId)).toBe(id);
  expect(masterKeyUUID('GCP', key.encryptionKeyId)).not.toBe(id);
});
