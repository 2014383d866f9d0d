// A catalogue as it is after a year: made by PostgreSQL itself, in the tables of snapshot-catalog, with the counters that it would have kept.
import { monthOf, firstIdOf } from '@atrest/snapshot-catalog';

const SNAPSHOTS_PER_CLUSTER = 500;
const CLUSTERS_PER_PROJECT = 10;
const DAY_SECONDS = 86_400;
const YEAR_SECONDS = 364 * DAY_SECONDS;
/** The customer key is changed every quarter: so many epochs a cluster. */
const QUARTER_SECONDS = YEAR_SECONDS / 4;

/** What is recorded with each snapshot; as large as it is. */
const TAKEN = {
  completedAt: '2026-11-30T00:00:00.000Z',
  durationMs: 61_250,
  method: 'backupCursor',
  member: 'mongo-1.internal.example.com:27017',
  memberState: 'SECONDARY',
  mongoDBVersion: '8.0.15',
  featureCompatibilityVersion: '8.0',
  defaultRWConcern: { defaultReadConcern: { level: 'local' }, defaultWriteConcern: { w: 'majority', wtimeout: 0 } },
  storage: { engine: 'wiredTiger', directoryPerDB: false, directoryForIndexes: false, blockCompressor: 'snappy', cipherMode: null },
  topology: { replicaSet: 'rs0', members: [1, 2, 3].map((member) => `mongo-${member}.internal.example.com:27017`) },
  optime: { seconds: 1_796_000_000, increment: 1, term: 7 },
  checkpointTimestamp: { seconds: 1_795_999_990, increment: 1, term: null },
  oplogEnd: { seconds: 1_796_000_000, increment: 1, term: 7 },
  files: 312,
  bytes: 53_687_091_200,
  storedBytes: 1_073_741_824,
  key: {
    provider: 'AWS',
    encryptionKeyId: 'arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab',
    keyVersion: null,
  },
};
const PROOF = { provenAt: '2026-11-30T00:00:00.000Z', blocksSampled: 16, blocksRead: 16, bytesRead: 67_108_864 };

/** Fills the tables and answers what to ask for. The last half of the clusters belongs to one project. */
export async function fillCatalogue(client, snapshots) {
  const clusterCount = Math.max(CLUSTERS_PER_PROJECT * 2, Math.round(snapshots / SNAPSHOTS_PER_CLUSTER));
  const small = Math.floor(clusterCount / 2);
  const end = Math.floor(Date.now() / 1_000 / DAY_SECONDS) * DAY_SECONDS;
  const begin = end - YEAR_SECONDS;
  const orgId = 'a'.repeat(24);
  await client.query('SET search_path TO snapshot_catalog');
  for (const setting of [`synchronous_commit = off`, `maintenance_work_mem = '1GB'`, `work_mem = '256MB'`])
    await client.query(`SET ${setting}`);
  // Everything is vacuumed once at the end.
  for (const setting of [`max_wal_size = '8GB'`, `checkpoint_timeout = '30min'`, 'autovacuum = off'])
    await client.query(`ALTER SYSTEM SET ${setting}`);
  await client.query('SELECT pg_reload_conf()');

  await client.query(`
    CREATE TEMP TABLE world AS SELECT number, substr(md5('cluster/' || number), 1, 24) AS id, 'cluster-' || number AS name,
      substr(md5('project/' || CASE WHEN number < ${small} THEN number / ${CLUSTERS_PER_PROJECT} ELSE -1 END), 1, 24) AS project_id
    FROM generate_series(0, ${clusterCount - 1}) AS number`);
  await client.query('CREATE UNIQUE INDEX ON world (number)');
  await client.query(`INSERT INTO project (id, org_id, revision) SELECT DISTINCT project_id, '${orgId}', 1 FROM world`);
  await client.query(`
    INSERT INTO cluster (id, project_id, name, cluster_type, state, provider, backup_enabled, paused, retain_backups, mongodb_version, replica_sets,
      data_members, created_at, revision)
    SELECT id, project_id, name, 'REPLICASET', 'IDLE', 'AWS', true, false, false, '8.0.15', '{rs0}', 3, to_timestamp(${begin}), 1 FROM world`);
  const keyOf = (project, quarter) => `'arn:aws:kms:us-east-1:111122223333:key/' || md5(${project} || '/' || ${quarter})::uuid`;
  await client.query(`
    CREATE TEMP TABLE world_epoch AS SELECT world.number, quarter, substr(md5(world.id || '/' || quarter), 1, 24) AS id, ${keyOf('world.project_id', 'quarter')} AS key_id
    FROM world CROSS JOIN generate_series(0, 3) AS quarter`);
  await client.query('CREATE UNIQUE INDEX ON world_epoch (number, quarter)');
  await client.query(`
    INSERT INTO key_configuration (id, project_id, provider, enabled, state, mode, key_id, resolved_key_id, epoch, last_proven_at, revision)
    SELECT substr(md5('configuration/' || id), 1, 24), id, 'AWS', true, 'VALID', 'enforce', 'alias/atrest', ${keyOf('id', 3)}, 4, now(), 1 FROM project`);

  const total = clusterCount * Math.max(1, Math.floor(snapshots / clusterCount));
  await addSnapshots(client, { clusterCount, total, begin, end });
  await client.query(`
    INSERT INTO epoch (id, cluster_id, project_id, provider, encryption_key_id, key_configuration_id, key_epoch, created_at, completed, oldest_created_at,
      newest_created_at, last_expires_at)
    SELECT epoch.id, world.id, world.project_id, 'AWS', epoch.key_id, substr(md5('configuration/' || world.project_id), 1, 24), epoch.quarter + 1,
      counted.oldest, counted.completed, counted.oldest, counted.newest, counted.last
    FROM world_epoch epoch JOIN world USING (number) JOIN (
      SELECT epoch_id, count(*)::int AS completed, min(created_at) AS oldest, max(created_at) AS newest, max(expires_at) AS last FROM snapshot GROUP BY epoch_id
    ) counted ON counted.epoch_id = epoch.id`);
  await client.query(`
    INSERT INTO cluster_backup (cluster_id, project_id, cluster_name, listed, completed)
    SELECT id, project_id, name, ${total / clusterCount}, ${total / clusterCount} FROM world`);
  // As autovacuum leaves tables that are a year old.
  await client.query('VACUUM (ANALYZE)');

  const clusters = await client.query(`SELECT project_id AS "projectId", name FROM world`);
  const keys = await client.query(`
    SELECT DISTINCT world.project_id AS "projectId", key_id AS "keyId" FROM world_epoch JOIN world USING (number) WHERE number < ${small}`);
  const large = await client.query(
    `SELECT project_id AS "projectId", key_id AS "keyId" FROM world_epoch JOIN world USING (number) WHERE number = ${small} AND quarter = 3`,
  );
  return {
    orgId,
    clusterCount,
    snapshotsPerCluster: total / clusterCount,
    clustersOfLargeKey: clusterCount - small,
    clusters: clusters.rows,
    keys: keys.rows,
    largeKey: large.rows[0],
  };
}

/** In the order of their ids, as they would have come; indexes are built afterwards, which is many times faster. */
async function addSnapshots(client, { clusterCount, total, begin, end }) {
  const found = await client.query(`
    SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition FROM pg_index
    WHERE indrelid = 'snapshot'::regclass AND NOT indisprimary`);
  for (const { name } of found.rows) await client.query(`DROP INDEX ${name}`);
  for (let second = begin; second < end; second = nextMonth(second)) {
    await addPartition(client, second);
    const until = Math.min(end, nextMonth(second));
    const numberAt = (moment) => Math.ceil(((moment - begin) / (end - begin)) * total);
    await client.query(
      `INSERT INTO snapshot (id, project_id, cluster_id, cluster_name, epoch_id, provider, encryption_key_id, status, snapshot_type, frequency_type, policy_items,
         replica_set, retention_unit, retention_value, due_at, requested_at, started_at, created_at, optime_seconds, optime_increment, expires_at, source,
         methods, taken, attempt, last_proof, last_proven_at, revision)
       SELECT lpad(to_hex(second), 8, '0') || lpad(to_hex(made.number), 16, '0'), world.project_id, world.id, world.name, epoch.id, 'AWS', epoch.key_id,
         'completed', 'scheduled', 'hourly', '{65f0c0ffee65f0c0ffee0001}', 'rs0', 'years', 2, moment, moment, moment, moment, second, 1,
         moment + interval '2 years', '{"kind": "secondary"}', '{backupCursor,fsyncLock}', $1::jsonb, 1, $2::jsonb, moment, 4
       FROM (
         SELECT number, number % ${clusterCount} AS cluster, (${begin} + (number * ${end - begin}::bigint) / ${total})::bigint AS second
         FROM generate_series(${numberAt(second)}::bigint, ${numberAt(until) - 1}::bigint) AS number
       ) made
       CROSS JOIN LATERAL to_timestamp(second) AS moment
       JOIN world ON world.number = made.cluster
       JOIN world_epoch epoch ON epoch.number = made.cluster AND epoch.quarter = LEAST(3, (second - ${begin}) / ${QUARTER_SECONDS})
       ORDER BY made.number`,
      [JSON.stringify(TAKEN), JSON.stringify(PROOF)],
    );
  }
  for (const { definition } of found.rows) await client.query(definition.replace(' ON ONLY ', ' ON '));
}

async function addPartition(client, second) {
  const { year, month } = monthOf(new Date(second * 1_000));
  const name = `snapshot_${year}_${String(month).padStart(2, '0')}`;
  const [from, to] = [Date.UTC(year, month - 1, 1), Date.UTC(year, month, 1)].map((moment) => firstIdOf(new Date(moment)));
  await client.query(`CREATE TABLE IF NOT EXISTS ${name} PARTITION OF snapshot FOR VALUES FROM ('${from}') TO ('${to}')`);
}

/** The first second of the month after. */
function nextMonth(second) {
  const { year, month } = monthOf(new Date(second * 1_000));
  return Date.UTC(year, month, 1) / 1_000;
}
