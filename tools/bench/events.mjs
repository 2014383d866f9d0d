// npm run bench:events [-- --json FILE] [--seconds N] [--sides atrest,kafkajs] [--rates 100,1000] [--together 1,10,100] [--statements]
// From the commit of a change in one service to the commit of its effect in another: two processes, a real Apache Kafka, a real, durable
// PostgreSQL; beside bare kafkajs with the same acks in the same run.
import { fork } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { EmbeddedPostgres } from '@atrest/platform-persistence';
import { testKafka } from '@atrest/testing';
import kafkajs from 'kafkajs';
import pg from 'pg';
import { cpuSeconds } from './events/cpu.mjs';
import { loggerOf } from './events/shared.mjs';

const { values } = parseArgs({
  options: {
    json: { type: 'string' },
    seconds: { type: 'string', default: '20' },
    sides: { type: 'string', default: 'atrest,kafkajs' },
    rates: { type: 'string', default: '100,1000' },
    together: { type: 'string', default: '1,10,100' },
    // Also what PostgreSQL spent its time on, for whoever wants to make it less. Costs some of it.
    statements: { type: 'boolean', default: false },
  },
});
const SECONDS = Number(values.seconds);
const numbers = (text) => text.split(',').filter(Boolean).map(Number);
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
  const exited = new Promise((resolve) => child.once('exit', resolve));
  await ready.promise;
  const ask = (command, commandParameters) => {
    const call = Promise.withResolvers();
    calls.set(next, call);
    child.send({ id: next, command, parameters: commandParameters });
    next += 1;
    return call.promise;
  };
  const end = async () => {
    await ask('end');
    await exited;
  };
  return Object.assign(ask, { pid: child.pid, end });
}

/** Measures CPU time from now on; what it returns gives milliseconds per event, by who spent them. */
async function cpuOf(parts) {
  const read = () => Promise.all(Object.values(parts).map((pid) => cpuSeconds(pid)));
  const before = await read();
  return async () => {
    const after = await read();
    const spent = Object.keys(parts).map((name, index) => [name, after[index] - before[index]]);
    return (events) => Object.fromEntries(spent.map(([name, seconds]) => [name, (seconds * 1000) / events]));
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
  if (values.statements) await setup.query('ALTER SYSTEM SET shared_preload_libraries = pg_stat_statements');
  await setup.end();
  await first.stop();
  postgres = await EmbeddedPostgres.start(options);
  kafka = await testKafka();
  // In turns, so that what else the machine does meanwhile meets both alike.
  const open = {
    atrest: () => openAtrest(postgres, kafka),
    kafkajs: () => openKafkajs(kafka),
  };
  const sides = [];
  for (const name of values.sides.split(',')) sides.push(await open[name]());
  for (const rate of numbers(values.rates)) for (const side of sides) await side.atRate(rate);
  for (const together of numbers(values.together)) for (const side of sides) await side.most(together);
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

async function openAtrest({ url, pid }, { brokers, broker }) {
  const parameters = { url, brokers, topic: `bench.${process.pid}.events` };
  const a = await start('publishing-service', parameters);
  const b = await start('handling-service', parameters);
  const parts = { publisher: a.pid, handler: b.pid, PostgreSQL: pid, Kafka: broker?.pid };
  const database = new pg.Client({ connectionString: url });
  // When a measurement failed, the server ends before this connection.
  database.on('error', (error) => logger.debug({ err: error }, 'the connection of the benchmark ended'));
  await database.connect();
  const ask = async (sql, ...args) => (await database.query(sql, args)).rows;
  const waiting = async () => {
    const [row] = await ask(
      `SELECT ((SELECT sum(revision) FROM bench_a.aggregate) - (SELECT coalesce(sum(revision), 0) FROM bench_b.projection))::int AS waiting`,
    );
    return row.waiting;
  };
  const caughtUp = async () => {
    while ((await waiting()) > 0) await delay(50);
  };
  const clear = async () => {
    await caughtUp();
    await delay(200);
    await ask('TRUNCATE bench_a.outbox, bench_b.inbox');
    await ask('CHECKPOINT');
    if (values.statements) await ask('SELECT pg_stat_statements_reset()');
    await a('changes');
    await b('effects');
    const [{ now }] = await ask('SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS now');
    return now;
  };
  /** When each of these changes of rows was committed, by who changed it: milliseconds by `<subject>/<revision>`. */
  const commits = async (changes) => {
    const found = await ask(
      `SELECT xid::text, extract(epoch FROM pg_xact_commit_timestamp(xid))::float8 * 1000 AS at FROM unnest($1::text[]::xid[]) AS xid`,
      [...new Set(changes.map(([, xid]) => xid))],
    );
    const times = new Map(found.map((row) => [row.xid, row.at]));
    // A transaction that was rolled back has no time; its change was made again by another.
    return new Map(changes.map(([key, xid]) => [key, times.get(xid)]).filter(([, at]) => at !== null));
  };
  if (values.statements) await ask('CREATE EXTENSION pg_stat_statements');
  const showStatements = async (what) => {
    if (!values.statements) return;
    const top = await ask(
      `SELECT calls::int, rows::int, round(total_exec_time)::int AS total_ms, round(mean_exec_time::numeric, 3) AS mean_ms, wal_bytes::int / greatest(rows, 1)::int AS wal_per_row, left(regexp_replace(query, '\\s+', ' ', 'g'), 60) AS query
       FROM pg_stat_statements ORDER BY total_exec_time DESC LIMIT 12`,
    );
    console.log(what);
    console.table(top);
  };
  await a('atRate', { rate: 200, seconds: WARM_UP });
  return {
    atRate: async (rate) => {
      const begin = await clear();
      const cpu = await cpuOf(parts);
      const kept = await a('atRate', { rate, seconds: SECONDS });
      await caughtUp();
      const spent = await cpu();
      await showStatements(`${rate}/s`);
      const published = await commits(await a('changes'));
      const effects = await commits(await b('effects'));
      const counted = [...published].filter(([, at]) => at > begin + WARM_UP * 1000);
      addLatencies(
        { what: `Atrest, ${rate}/s wanted`, key: `atrest.${rate}`, rate: kept.rate, cpu: spent(published.size) },
        counted.map(([key, at]) => effects.get(key) - at),
      );
    },
    most: async (together) => {
      const begin = await clear();
      const cpu = await cpuOf(parts);
      await a('flood', { perTransaction: together });
      while (performance.timeOrigin + performance.now() < begin + SECONDS * 1000) {
        await a('pause', (await waiting()) > MAX_UNDER_WAY);
        await delay(100);
      }
      await a('pause', false);
      await a('stop');
      await caughtUp();
      const spent = await cpu();
      await showStatements(`${together} a transaction`);
      const times = [...(await commits(await b('effects'))).values()];
      const [from, to] = [begin + WARM_UP * 1000, begin + SECONDS * 1000];
      results.push({
        what: `Atrest, most, ${together} a transaction`,
        key: `atrest.max.${together}`,
        rate: times.filter((at) => at >= from && at < to).length / (SECONDS - WARM_UP),
        cpu: spent(times.length),
      });
    },
    end: async () => {
      // The benchmark is worth nothing if it lost or repeated something.
      const wrong = await ask(
        `SELECT id FROM bench_a.aggregate a LEFT JOIN bench_b.projection p USING (id) WHERE a.revision > 0 AND a.revision IS DISTINCT FROM p.revision`,
      );
      const strange = await b('strange');
      if (wrong.length > 0 || strange > 0) throw new Error(`${wrong.length} subjects differ, ${strange} events came twice or out of order`);
      await a.end();
      await b.end();
      await database.end();
    },
  };
}

async function openKafkajs({ brokers, broker }) {
  const topic = `bench.${process.pid}.bare`;
  const admin = new kafkajs.Kafka({ brokers: [...brokers], logLevel: kafkajs.logLevel.ERROR }).admin();
  await admin.connect();
  await admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions: 12 }] });
  await admin.disconnect();
  const consumer = await start('bare-kafkajs', { brokers, topic, role: 'consume' });
  const producer = await start('bare-kafkajs', { brokers, topic, role: 'produce' });
  const parts = { publisher: producer.pid, handler: consumer.pid, Kafka: broker?.pid };
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
      const cpu = await cpuOf(parts);
      const kept = await producer('atRate', { rate, seconds: SECONDS });
      await drained();
      const spent = await cpu();
      const measured = await consumer('latencies');
      addLatencies(
        { what: `kafkajs, ${rate}/s wanted`, key: `kafkajs.${rate}`, rate: kept.rate, cpu: spent(measured.length) },
        measured.slice(rate * WARM_UP),
      );
    },
    most: async (batch) => {
      await drained();
      await producer('flood', { batch });
      await delay(WARM_UP * 1000);
      const before = await consumer('received');
      const begin = performance.now();
      const cpu = await cpuOf(parts);
      await delay((SECONDS - WARM_UP) * 1000);
      const events = (await consumer('received')) - before;
      const rate = events / ((performance.now() - begin) / 1000);
      const spent = await cpu();
      await producer('stop');
      results.push({ what: `kafkajs, most, ${batch} a send`, key: `kafkajs.max.${batch}`, rate, cpu: spent(events) });
    },
    end: async () => {
      await producer.end();
      await consumer.end();
    },
  };
}

function addLatencies(row, milliseconds) {
  const sorted = milliseconds.sort((one, other) => one - other);
  results.push({ ...row, p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99) });
}

function report() {
  const show = (number, digits) => (Number.isFinite(number) ? number.toFixed(digits) : '');
  const parts = ['publisher', 'handler', 'PostgreSQL', 'Kafka'];
  const table = [
    ['', 'events/s', 'p50 ms', 'p99 ms', ...parts.map((part) => `CPU ms/event: ${part}`)],
    ...results.map((row) => [
      row.what,
      show(row.rate, 0),
      show(row.p50, 1),
      show(row.p99, 1),
      ...parts.map((part) => show(row.cpu[part], 3)),
    ]),
  ];
  const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)));
  const line = (row) =>
    `| ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column]))).join(' | ')} |`;
  const rule = `| ${widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`;
  console.log(
    `\n${cpus().length} × ${cpus()[0].model}, load before ${loadBefore.toFixed(1)}, after ${loadavg()[0].toFixed(1)}; ${SECONDS} s each\n`,
  );
  console.log([line(table[0]), rule, ...table.slice(1).map(line)].join('\n'));
  const of = (key) => results.find((row) => row.key === key);
  const shares = numbers(values.together).map((together) => of(`atrest.max.${together}`)?.rate / of(`kafkajs.max.${together}`)?.rate);
  console.log(`\nHighest rate of Atrest as a share of that of bare kafkajs: ${shares.map((share) => show(share, 2)).join(', ')}`);
  if (values.json === undefined) return;
  const figures = [
    { name: 'events.p50_ms_1000', value: of('atrest.1000')?.p50, unit: 'ms' },
    { name: 'events.p99_ms_1000', value: of('atrest.1000')?.p99, unit: 'ms' },
    { name: 'events.max_rate', value: of('atrest.max.100')?.rate, unit: 'events/s' },
    { name: 'events.rate_ratio_kafkajs', value: of('atrest.max.100')?.rate / of('kafkajs.max.100')?.rate, unit: 'ratio' },
  ];
  writeFileSync(values.json, `${JSON.stringify(figures, null, 2)}\n`);
}
