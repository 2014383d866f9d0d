import type { Evidence } from '@atrest/contracts';
import { createLogger } from '@atrest/platform-logging';
import { Metrics } from '@atrest/platform-metrics';
import { rows, ServiceDatabase } from '@atrest/platform-persistence';
import { testDatabase, type TestDatabase } from '@atrest/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CheckHistory } from './check-history.js';
import { CheckedKeyRepository, type ClaimedKey } from './checked-key.repository.js';
import { FinishQueue, type UneventfulCheck } from './finish-queue.js';
import { kmsValidationMigrations } from './kms-validation.service.js';

const NOW = new Date('2026-11-23T12:00:00.000Z');
const LATER = new Date('2026-11-23T12:01:00.000Z');
const usable: Evidence = {
  verdict: 'usable',
  reason: null,
  errorName: null,
  message: null,
  httpStatus: null,
  requestId: null,
  at: NOW.toISOString(),
  observer: 'replica-1',
};

describe('checks that are stored together', () => {
  let testing: TestDatabase;
  let database: ServiceDatabase;
  let keys: CheckedKeyRepository;
  let history: CheckHistory;
  const metrics = new Metrics();
  const logger = createLogger({ service: 'test', level: 'silent' });

  beforeAll(async () => {
    testing = await testDatabase('finish-queue');
    database = await ServiceDatabase.open({
      service: 'kms-validation',
      url: testing.url,
      migrations: kmsValidationMigrations,
      logger,
      metrics,
    });
    keys = new CheckedKeyRepository(database);
    history = new CheckHistory(database);
  });
  afterAll(async () => {
    await database.close();
    await testing.drop();
  });

  const claimed = async (count: number): Promise<ClaimedKey[]> => {
    await database.query('DELETE FROM checked_key RETURNING id');
    await database.transaction(async (tx) => {
      for (let index = 0; index < count; index += 1)
        await keys.join(tx, { id: `key-${String(index).padStart(3, '0')}`, provider: 'AWS', nextCheckAt: NOW }, NOW);
    });
    const claims = await keys.claimDue(count, NOW, { owner: 'replica-1', until: LATER });
    return claims.toSorted((a, b) => (a.key.id < b.key.id ? -1 : 1));
  };
  const check = ({ key, lease }: ClaimedKey, evidence = usable, sampled = false): UneventfulCheck => ({
    finish: { id: key.id, lease, after: { ...key, nextCheckAt: LATER, lastEvidence: evidence, lastProvenAt: NOW }, now: NOW },
    sample: sampled ? { checkedKeyId: key.id, evidence, durationMs: 12.5, checks: 7 } : null,
  });

  it('are each stored as they are, with the entries of the history that are due', async () => {
    const claims = await claimed(60);
    const queue = new FinishQueue({ database, keys, history });
    const outcomes = await Promise.all(
      claims.map((claim, index) => queue.add(check(claim, { ...usable, requestId: `request-${index}` }, index % 2 === 0))),
    );
    expect(new Set(outcomes)).toEqual(new Set(['finished']));
    const stored = await database.query(
      `SELECT last_evidence ->> 'requestId' AS request, next_check_at, last_proven_at, lease_token FROM checked_key ORDER BY id`,
    );
    expect(stored).toEqual(
      claims.map((_, index) => ({ request: `request-${index}`, next_check_at: LATER, last_proven_at: NOW, lease_token: null })),
    );
    const [first, second] = claims;
    expect(await history.samplesOf(first!.key.id, 10)).toMatchObject([{ checks: 7, at: NOW, evidence: { requestId: 'request-0' } }]);
    expect(await history.samplesOf(second!.key.id, 10)).toEqual([]);
  });

  it('neither take back a key that another replica took over, nor write its history, nor fail with one that PostgreSQL refuses', async () => {
    const claims = await claimed(5);
    const [lost, refused, ...others] = claims;
    await database.transaction((tx) =>
      rows(tx, `UPDATE checked_key SET lease_token = 'theirs' WHERE id = $1 RETURNING id`, [lost!.key.id]),
    );
    const before = await history.samplesOf(lost!.key.id, 10);
    const queue = new FinishQueue({ database, keys, history });
    const outcomes = await Promise.allSettled([
      queue.add(check(lost!, usable, true)),
      // PostgreSQL stores no NUL in jsonb.
      queue.add(check(refused!, { ...usable, message: '\0' })),
      ...others.map((claim) => queue.add(check(claim))),
    ]);
    expect(outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : 'refused'))).toEqual([
      'lease-lost',
      'refused',
      'finished',
      'finished',
      'finished',
    ]);
    expect(await history.samplesOf(lost!.key.id, 10)).toEqual(before);
    expect(await database.query('SELECT id, lease_token FROM checked_key WHERE lease_token IS NOT NULL ORDER BY id')).toEqual([
      { id: lost!.key.id, lease_token: 'theirs' },
      { id: refused!.key.id, lease_token: refused!.lease.token },
    ]);
    // The queue goes on.
    expect(await queue.add(check(refused!))).toBe('finished');
  });
});
