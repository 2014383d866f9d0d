// npm run bench:events [-- --json FILE] [--seconds N]
// From the commit of a change in one service to the commit of its effect in another: two processes, a real Apache Kafka, a real, durable
// PostgreSQL; beside bare kafkajs with the same acks in the same run.
import { fork } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { EmbeddedPostgres } from '@atrest/platform-persistence';
import { testKafka } from '@atrest/testing';
import kafkajs from 'kafkajs';
import pg from 'pg';
import { loggerOf } from './events/shared.mjs';

const { values } = parseArgs({
  options: { json: { type: 'string' }, seconds: { type: 'string', default: '20' } },
});
const SECONDS = Number(values.seconds);
/** The beginning of each measurement, in which code is compiled and connections are opened, does not count. Seconds. */
const WARM_UP = Math.min(5, SECONDS / 4);
/** Events on their way at most while the highest rate is looked for: what is measured then is a rate that can be kept up for ever. */
const MAX_UNDER_WAY = 4_000;

const delay = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const quantile = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))];
const children = [];

/** A process of the benchmark and how to call it. */
async function start(file, parameters) {
  const inspect = process.env.BENCH_PROFILE === file ? ['--cpu-prof', '--cpu-prof-dir=/tmp/bench-profile'] : [];
  const child = fork(new URL(`./events/${file}.mjs`, import.meta.url), [JSON.stringify(parameters)], { execArgv: inspect });
  children.push(child);
  const calls = new Map();
  let next = 0;
  const ready = Promise.withResolvers();
  child.on('message', (message) => {
    if (message.ready) return ready.resolve();
    const call = calls.get(message.id);
    calls.delete(message.id);
    return message.error ? call.reject(new Error(message.error)) : call.resolve(message.result);
  });
  child.once('exit', (code) => {
    const error = new Error(`${file} ended with ${code}`);
    ready.reject(error);
    for (const call of calls.values()) call.reject(error);
  });
  await ready.promise;
  return (command, commandParameters) => {
    const call = Promise.withResolvers();
    calls.set(next, call);
    child.send({ id: next, command, parameters: commandParameters });
    next += 1;
    return call.promise;
  };
}

const folder = await mkdtemp(join(tmpdir(), 'atrest-bench-'));
const logger = loggerOf('bench');
const results = [];
const loadBefore = loadavg()[0];
let postgres;
let kafka;
try {
  const options = { dataFolder: join(folder, 'postgres'), logger };
  const first = await EmbeddedPostgres.start(options);
  const setup = new pg.Client({ connectionString: first.url });
  await setup.connect();
  // PostgreSQL says when each transaction was committed, so that measuring costs the services nothing.
  await setup.query('ALTER SYSTEM SET track_commit_timestamp = on');
  await setup.end();
  await first.stop();
  postgres = await EmbeddedPostgres.start(options);
  kafka = await testKafka();
  // In turns, so that what else the machine does meanwhile meets both alike.
  const sides = [await openAtrest(postgres.url, kafka.brokers), await openKafkajs(kafka.brokers)];
  for (const rate of [100, 1_000]) for (const side of sides) await side.atRate(rate);
  for (const together of [1, 10, 100]) for (const side of sides) await side.most(together);
  for (const side of sides) await side.end();
  report();
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  for (const child of children) child.kill('SIGKILL');
  await kafka?.stop();
  await postgres?.stop();
  await rm(folder, { recursive: true, force: true });
}

async function openAtrest(url, brokers) {
  const parameters = { url, brokers, topic: `bench.${process.pid}.events` };
  const a = await start('publishing-service', parameters);
  const b = await start('handling-service', parameters);
  const database = new pg.Client({ connectionString: url });
  // When a measurement failed, the server ends before this connection.
  database.on('error', (error) => logger.debug({ err: error }, 'the connection of the benchmark ended'));
  await database.connect();
  const ask = async (sql, ...args) => (await database.query(sql, args)).rows;
  const waiting = async () => {
    const [row] = await ask(`SELECT (SELECT count(*) FROM bench_a.cause)::int - (SELECT count(*) FROM bench_b.effect)::int AS waiting`);
    return row.waiting;
  };
  const clear = async () => {
    while ((await waiting()) > 0) await delay(50);
    await delay(200);
    await ask('TRUNCATE bench_a.cause, bench_b.effect, bench_a.outbox, bench_b.inbox');
    await ask('CHECKPOINT');
    const [{ now }] = await ask('SELECT clock_timestamp() AS now');
    return now;
  };
  await a('atRate', { rate: 200, seconds: WARM_UP });
  return {
    atRate: async (rate) => {
      const begin = await clear();
      const kept = await a('atRate', { rate, seconds: SECONDS });
      while ((await waiting()) > 0) await delay(50);
      const measured = await ask(
        `SELECT extract(epoch FROM pg_xact_commit_timestamp(e.xmin) - pg_xact_commit_timestamp(c.xmin))::float8 * 1000 AS ms
         FROM bench_a.cause c JOIN bench_b.effect e USING (id, revision)
         WHERE pg_xact_commit_timestamp(c.xmin) > $1::timestamptz + make_interval(secs => $2)`,
        begin,
        WARM_UP,
      );
      addLatencies(
        `Atrest, ${rate}/s wanted`,
        `atrest.${rate}`,
        kept.rate,
        measured.map((row) => row.ms),
      );
    },
    most: async (together) => {
      const begin = await clear();
      await a('flood', { perTransaction: together });
      while (performance.timeOrigin + performance.now() < begin.getTime() + SECONDS * 1000) {
        await a('pause', (await waiting()) > MAX_UNDER_WAY);
        await delay(100);
      }
      await a('pause', false);
      await a('stop');
      const [row] = await ask(
        `SELECT count(*)::float8 / $3::float8 AS rate FROM bench_b.effect
         WHERE pg_xact_commit_timestamp(xmin) BETWEEN $1::timestamptz + make_interval(secs => $2) AND $1::timestamptz + make_interval(secs => $2 + $3)`,
        begin,
        WARM_UP,
        SECONDS - WARM_UP,
      );
      results.push({ what: `Atrest, most, ${together} a transaction`, key: `atrest.max.${together}`, rate: row.rate });
    },
    end: async () => {
      await a('end');
      await b('end');
      await database.end();
    },
  };
}

async function openKafkajs(brokers) {
  const topic = `bench.${process.pid}.bare`;
  const admin = new kafkajs.Kafka({ brokers: [...brokers], logLevel: kafkajs.logLevel.ERROR }).admin();
  await admin.connect();
  await admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions: 12 }] });
  await admin.disconnect();
  const consumer = await start('bare-kafkajs', { brokers, topic, role: 'consume' });
  const producer = await start('bare-kafkajs', { brokers, topic, role: 'produce' });
  await producer('atRate', { rate: 200, seconds: WARM_UP });
  /** Until nothing has arrived for a while. */
  const drained = async () => {
    for (let last = -1, now = await consumer('received'); now !== last;) {
      await delay(500);
      [last, now] = [now, await consumer('received')];
    }
  };
  return {
    atRate: async (rate) => {
      await drained();
      await consumer('latencies');
      const kept = await producer('atRate', { rate, seconds: SECONDS });
      await drained();
      const measured = (await consumer('latencies')).slice(rate * WARM_UP);
      addLatencies(`kafkajs, ${rate}/s wanted`, `kafkajs.${rate}`, kept.rate, measured);
    },
    most: async (batch) => {
      await drained();
      await producer('flood', { batch });
      await delay(WARM_UP * 1000);
      const before = await consumer('received');
      const begin = performance.now();
      await delay((SECONDS - WARM_UP) * 1000);
      const rate = ((await consumer('received')) - before) / ((performance.now() - begin) / 1000);
      await producer('stop');
      results.push({ what: `kafkajs, most, ${batch} a send`, key: `kafkajs.max.${batch}`, rate });
    },
    end: async () => {
      await producer('end');
      await consumer('end');
    },
  };
}

function addLatencies(what, key, rate, milliseconds) {
  const sorted = milliseconds.sort((one, other) => one - other);
  results.push({ what, key, rate, p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), max: sorted.at(-1) });
}

function report() {
  const show = (number, digits) => (number === undefined ? '' : number.toFixed(digits));
  console.log(
    `\n${cpus().length} × ${cpus()[0].model}, load before ${loadBefore.toFixed(1)}, after ${loadavg()[0].toFixed(1)}; ${SECONDS} s each\n`,
  );
  console.log('|                                  | events/s | p50 ms | p99 ms |');
  console.log('| -------------------------------- | -------: | -----: | -----: |');
  for (const row of results) {
    console.log(
      `| ${row.what.padEnd(32)} | ${show(row.rate, 0).padStart(8)} | ${show(row.p50, 1).padStart(6)} | ${show(row.p99, 1).padStart(6)} |`,
    );
  }
  const of = (key) => results.find((row) => row.key === key);
  const ratios = [1, 10, 100].map((together) => of(`atrest.max.${together}`).rate / of(`kafkajs.max.${together}`).rate);
  console.log(`\nHighest rate of Atrest as a share of that of bare kafkajs: ${ratios.map((ratio) => ratio.toFixed(2)).join(', ')}`);
  if (values.json === undefined) return;
  const figures = [
    { name: 'events.p50_ms_1000', value: of('atrest.1000').p50, unit: 'ms' },
    { name: 'events.p99_ms_1000', value: of('atrest.1000').p99, unit: 'ms' },
    { name: 'events.max_rate', value: of('atrest.max.100').rate, unit: 'events/s' },
    { name: 'events.rate_ratio_kafkajs', value: ratios[2], unit: 'ratio' },
  ];
  void writeFile(values.json, `${JSON.stringify(figures, null, 2)}\n`);
}
