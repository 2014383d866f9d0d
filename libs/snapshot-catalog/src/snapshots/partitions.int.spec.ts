import { newObjectId } from '@atrest/contracts';
import { createLogger } from '@atrest/platform-logging';
import { Metrics } from '@atrest/platform-metrics';
import { rows, ServiceDatabase } from '@atrest/platform-persistence';
import { testDatabase, type TestDatabase } from '@atrest/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { snapshotCatalogMigrations } from '../snapshot-catalog.service.js';
import { firstIdOf, monthOf, monthOfId, SnapshotPartitions } from './partitions.js';

describe('partitions of snapshots', () => {
  let test: TestDatabase;
  let database: ServiceDatabase;

  beforeAll(async () => {
    test = await testDatabase('partitions');
    database = await ServiceDatabase.open({
      service: 'snapshot-catalog',
      url: test.url,
      migrations: snapshotCatalogMigrations,
      logger: createLogger({ service: 'test', level: 'silent' }),
      metrics: new Metrics(),
      poolSize: 4,
    });
  });
  afterAll(async () => {
    await database.close();
    await test.drop();
  });

  const insert = (id: string) =>
    database.query(
      `INSERT INTO snapshot (id, project_id, cluster_id, cluster_name, epoch_id, provider, status, snapshot_type, policy_items, retention_unit, retention_value,
         requested_at, source, methods, attempt, revision)
       VALUES ($1, 'p', 'c', 'orders', 'e', 'NONE', 'queued', 'onDemand', '{}', 'DAYS', 1, now(), '{}', '{}', 1, 1)`,
      [id],
    );
  const placeOf = async (id: string) =>
    (await database.query<{ place: string }>('SELECT tableoid::regclass::text AS place FROM snapshot WHERE id = $1', [id]))[0]?.place;

  it('a snapshot lies in the partition of the month in which its id was made', async () => {
    await new SnapshotPartitions(database).prepare(new Date('2026-12-15T00:00:00Z'));
    const id = newObjectId(new Date('2027-01-31T23:59:59Z'));
    await insert(id);
    expect(await placeOf(id)).toBe('snapshot_2027_01');
    expect(monthOfId(id)).toEqual({ year: 2027, month: 1 });
  });

  it('replicas that make the same partition at once make it once', async () => {
    const month = monthOf(new Date('2024-02-10T00:00:00Z'));
    await Promise.all([new SnapshotPartitions(database).ensure(month), new SnapshotPartitions(database).ensure(month)]);
    const last = newObjectId(new Date('2024-02-29T23:59:59Z'));
    await insert(last);
    expect(await placeOf(last)).toBe('snapshot_2024_02');
  });

  it('a partition is made while a transaction that wrote to another one is open', async () => {
    const partitions = new SnapshotPartitions(database);
    await partitions.prepare(new Date('2027-06-01T00:00:00Z'));
    await database.transaction(async (tx) => {
      await rows(tx, 'UPDATE snapshot SET revision = revision + 1 RETURNING id');
      await partitions.ensure({ year: 2031, month: 12 });
    });
    const id = newObjectId(new Date('2031-12-01T00:00:00Z'));
    await insert(id);
    expect(await placeOf(id)).toBe('snapshot_2031_12');
  });

  it('the newest of a cluster are read from the newest partitions in the order of an index, without sorting', async () => {
    const plan = await database.query<{ 'QUERY PLAN': string }>(
      `EXPLAIN SELECT id FROM snapshot WHERE cluster_id = 'c' AND deleted_at IS NULL ORDER BY id DESC LIMIT 100`,
    );
    const text = plan.map((line) => line['QUERY PLAN']).join('\n');
    expect(text).not.toContain('Sort');
    expect(text).not.toContain('Merge Append');
    expect(firstIdOf(new Date('2026-12-01T00:00:00Z'))).toMatch(/^[\da-f]{8}0{16}$/);
  });
});
