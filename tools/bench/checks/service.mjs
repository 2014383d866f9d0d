// kms-validation as it runs anywhere, with the configurations of the benchmark. Only what it tells its metrics is listened to.
import { createHash } from 'node:crypto';
import { newObjectId } from '@atrest/contracts';
import { createKmsValidationService } from '@atrest/kms-validation';
import { SealingKeys } from '@atrest/platform-auth';
import { EmbeddedTransport } from '@atrest/platform-messaging';
import { Metrics } from '@atrest/platform-metrics';
import { systemClock } from '@atrest/platform-time';
import pg from 'pg';
// The package does not offer them: nobody else makes configurations without proving them.
import { createConfiguration } from '../../../libs/kms-validation/dist/key-configuration.js';
import { loggerOf, serve } from '../events/shared.mjs';
import { keyOf } from './keys.mjs';

const { url, kms, configurations, concurrency } = JSON.parse(process.argv[2]);
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** Rows that are inserted at once. */
const BATCH = 5_000;

/** Keeps each value of a histogram, where Prometheus keeps buckets. */
class ListeningMetrics extends Metrics {
  heard = new Map();

  histogram(name, ...rest) {
    const histogram = super.histogram(name, ...rest);
    if (this.heard.has(name)) return histogram;
    const values = [];
    this.heard.set(name, values);
    const observe = histogram.observe.bind(histogram);
    histogram.observe = (...args) => {
      values.push(args.at(-1));
      observe(...args);
    };
    return histogram;
  }

  take(name) {
    return (this.heard.get(name) ?? []).splice(0);
  }
}

const metrics = new ListeningMetrics();
const sealingKeys = SealingKeys.parse(SealingKeys.generate());
const service = await createKmsValidationService(
  { database: { url }, transport: new EmbeddedTransport(), clock: systemClock, logger: loggerOf('bench-checks'), metrics },
  {
    sealingKeys,
    issuer: 'https://atrest.example',
    observer: 'bench',
    awsEndpoint: kms,
    policy: { intervalMs: MINUTE },
    checks: { concurrency },
  },
);

/**
 * Configurations as they are after some days: each with a key, an account and credentials of its own, usable, its next check, its entry of the
 * history, its daily wrap and its description due at a moment of their own.
 */
async function seed() {
  const client = new pg.Client({ connectionString: url, options: '-c search_path=kms_validation' });
  await client.connect();
  const now = Date.now();
  const past = (span) => new Date(now - Math.random() * span).toISOString();
  for (let from = 0; from < configurations; from += BATCH) {
    const indices = Array.from({ length: Math.min(BATCH, configurations - from) }, (_, step) => from + step);
    const rows = indices.map((index) => rowsOf(index, now, past));
    await insert(
      client,
      'checked_key',
      rows.map(([key]) => key),
    );
    await insert(
      client,
      'key_configuration',
      rows.map(([, configuration]) => configuration),
    );
  }
  await client.query('VACUUM ANALYZE');
  await client.end();
}

const insert = (client, table, rows) =>
  client.query(
    `INSERT INTO ${table} (${Object.keys(rows[0]).join(', ')})
     SELECT ${Object.keys(rows[0]).join(', ')} FROM jsonb_populate_recordset(NULL::${table}, $1)`,
    [JSON.stringify(rows)],
  );

function rowsOf(index, now, past) {
  const { arn, accessKeyId, secret, blob, sha256, projectId } = keyOf(index);
  const id = newObjectId(new Date(now));
  const keyId = createHash('sha256').update(arn).digest('hex');
  const checkedAt = new Date(now).toISOString();
  const evidence = {
    verdict: 'usable',
    reason: null,
    errorName: null,
    message: null,
    httpStatus: null,
    requestId: null,
    at: checkedAt,
    observer: 'bench',
  };
  const { configuration } = createConfiguration(
    { id, projectId, provider: 'AWS', mode: 'enforce', failClosed: false },
    {
      settings: { customerMasterKeyID: arn, accessKeyID: accessKeyId, region: 'US_EAST_1' },
      sealedCredentials: sealingKeys.seal(JSON.stringify({ secret }), `key-configuration/${id}`),
      checkedKeyId: keyId,
      canary: { blob, sha256 },
      evidence,
      nextCheckAt: new Date(now),
    },
    new Date(now),
  );
  const { validity } = configuration;
  return [
    {
      id: keyId,
      provider: 'AWS',
      // Spread over the first minute, from the moment the service starts; set then.
      next_check_at: checkedAt,
      planned_at: checkedAt,
      last_evidence: evidence,
      last_proven_at: checkedAt,
      last_wrap_proof_at: past(24 * HOUR),
      last_described_at: past(6 * HOUR),
      last_member_id: id,
      sampled_at: past(HOUR),
      checks_since_sample: 30,
    },
    {
      id,
      project_id: projectId,
      provider: 'AWS',
      mode: 'enforce',
      fail_closed: false,
      settings: configuration.settings,
      sealed_credentials: configuration.sealedCredentials,
      sealing_key_id: sealingKeys.currentKeyId,
      canary: configuration.canary,
      epoch: 1,
      checked_key_id: keyId,
      state: validity.state,
      state_since: checkedAt,
      evidence: [],
      last_evidence: evidence,
      unreachable_alerts: 0,
      last_proven_at: checkedAt,
      announced_findings: [],
      prospects: configuration.prospects,
      revision: 1,
      created_at: checkedAt,
      updated_at: checkedAt,
    },
  ];
}

await seed();
serve({
  start: async () => {
    const client = new pg.Client({ connectionString: url, options: '-c search_path=kms_validation' });
    await client.connect();
    await client.query(`UPDATE checked_key SET next_check_at = now() + random() * interval '60 s', planned_at = now()`);
    await client.query('VACUUM checked_key');
    await client.query('CHECKPOINT');
    await client.end();
    await service.start();
  },
  /** What was measured since it was last asked: seconds. */
  taken: async () => ({
    lateness: metrics.take('atrest_validity_check_lateness_seconds'),
    durations: metrics.take('atrest_validity_check_seconds'),
    rss: process.memoryUsage().rss,
    outcomes: (await metrics.render()).split('\n').filter((line) => /^atrest_validity_(results|verdicts)_total/.test(line)),
  }),
  end: () => service.stop(),
});
