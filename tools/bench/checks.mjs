// npm run bench:checks [-- --json FILE] [--configurations N] [--seconds N]
// So many key configurations, each with a customer key of its own, checked every minute by one process of kms-validation: AWS KMS on the loopback in a
// process of its own, PostgreSQL real and durable; beside a bare loop of the AWS SDK that makes the same Decrypt calls in the same run.
import { fork } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { EmbeddedPostgres } from '@atrest/platform-persistence';
import pg from 'pg';
import { cpuSeconds } from './events/cpu.mjs';
import { loggerOf } from './events/shared.mjs';

const { values } = parseArgs({
  options: {
    json: { type: 'string' },
    configurations: { type: 'string', default: '100000' },
    // Measured, after the first.
    seconds: { type: 'string', default: '60' },
    // Before that: code is compiled, connections are opened. Each configuration is checked for the first time within a minute.
    'warm-up': { type: 'string', default: '30' },
    // Checks at the same time: each waits for the KMS and then for the commit it shares with others.
    concurrency: { type: 'string', default: '256' },
    // Also what PostgreSQL spent its time on, for whoever wants to make it less. Costs some of it.
    statements: { type: 'boolean', default: false },
  },
});
const CONFIGURATIONS = Number(values.configurations);
const SECONDS = Number(values.seconds);
const WARM_UP = Number(values['warm-up']);
/** Calls in flight in the bare loop. */
const BARE_CONCURRENCY = 64;
const BARE_SECONDS = Math.min(10, SECONDS);

const quantile = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
const ascending = (list) => list.toSorted((one, other) => one - other);
const children = [];

/** A process of the benchmark and how to call it. */
async function start(file, parameters) {
  const profiled = process.env.BENCH_PROFILE === file ? ['--cpu-prof', '--cpu-prof-dir=/tmp/bench-profile'] : [];
  const child = fork(fileURLToPath(new URL(`./checks/${file}.mjs`, import.meta.url)), [JSON.stringify(parameters)], { execArgv: profiled });
  children.push(child);
  const calls = new Map();
  const ready = Promise.withResolvers();
  child.on('message', (message) => {
    if (message.ready) return ready.resolve(message);
    const call = calls.get(message.id);
    calls.delete(message.id);
    return message.error ? call.reject(new Error(message.error)) : call.resolve(message.result);
  });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  void exited.then((code) => {
    const error = new Error(`${file} ended with ${code}`);
    ready.reject(error);
    for (const call of calls.values()) call.reject(error);
  });
  const { url } = await ready.promise;
  let next = 0;
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
  return Object.assign(ask, { pid: child.pid, url, end });
}

const folder = await mkdtemp(join(tmpdir(), 'atrest-bench-'));
const loadBefore = loadavg()[0];
let postgres;
try {
  postgres = await startPostgres();
  const kms = await start('loopback-kms', {});
  const bare = await start('bare-sdk', { kms: kms.url });
  const options = { url: postgres.url, kms: kms.url, configurations: CONFIGURATIONS, concurrency: Number(values.concurrency) };
  const service = await start('service', options);
  // The loop before and behind, because what else the machine does changes meanwhile.
  await bare('loop', { concurrency: BARE_CONCURRENCY, seconds: Math.min(3, SECONDS) });
  const bareRuns = [await measureBare(bare, kms)];
  const checks = await measureChecks(service, kms);
  await service.end();
  bareRuns.push(await measureBare(bare, kms));
  await bare.end();
  report(bareRuns, checks);
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  for (const child of children) child.kill('SIGKILL');
  await postgres?.stop();
  await rm(folder, { recursive: true, force: true });
}

async function startPostgres() {
  const server = { dataFolder: join(folder, 'postgres'), logger: loggerOf('bench') };
  if (!values.statements) return EmbeddedPostgres.start(server);
  const first = await EmbeddedPostgres.start(server);
  await sql(first.url, 'ALTER SYSTEM SET shared_preload_libraries = pg_stat_statements');
  await first.stop();
  const second = await EmbeddedPostgres.start(server);
  await sql(second.url, 'CREATE EXTENSION pg_stat_statements');
  return second;
}

async function sql(url, text) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query(text);
  await client.end();
  return rows;
}

/** Measures CPU time from now on; what it returns gives milliseconds by who spent them. */
async function cpuOf(pids) {
  const read = () => Promise.all(Object.values(pids).map((pid) => cpuSeconds(pid)));
  const before = await read();
  return async () => {
    const after = await read();
    return Object.fromEntries(Object.keys(pids).map((name, index) => [name, (after[index] - before[index]) * 1_000]));
  };
}

async function measureBare(bare, kms) {
  const cpu = await cpuOf({ process: bare.pid, kms: kms.pid });
  const begin = performance.now();
  const calls = await bare('loop', { concurrency: BARE_CONCURRENCY, seconds: BARE_SECONDS });
  const seconds = (performance.now() - begin) / 1_000;
  const spent = await cpu();
  return { calls, perSecond: calls / seconds, cpuMs: spent.process / calls, kmsCpuMs: spent.kms / calls };
}

async function measureChecks(service, kms) {
  await service('start');
  await delay(WARM_UP * 1_000);
  if (values.statements) await sql(postgres.url, 'SELECT pg_stat_statements_reset()');
  await service('taken');
  const before = await kms('answered');
  const cpu = await cpuOf({ process: service.pid, postgres: postgres.pid, kms: kms.pid });
  const begin = performance.now();
  let rss = 0;
  const [lateness, durations] = [[], []];
  let outcomes;
  while (performance.now() - begin < SECONDS * 1_000) {
    await delay(Math.min(1_000, SECONDS * 1_000 - (performance.now() - begin)));
    const taken = await service('taken');
    // Not with push(...): a second of checks is longer than an argument list may be.
    for (const value of taken.lateness) lateness.push(value * 1_000);
    for (const value of taken.durations) durations.push(value * 1_000);
    rss = Math.max(rss, taken.rss / 1024 / 1024);
    outcomes = taken.outcomes;
  }
  const seconds = (performance.now() - begin) / 1_000;
  const spent = await cpu();
  const after = await kms('answered');
  if (values.statements) await showStatements();
  const checked = durations.length;
  const calls = Object.fromEntries(Object.keys(after.answered).map((name) => [name, after.answered[name] - (before.answered[name] ?? 0)]));
  // The benchmark is worth nothing when keys were not found usable, or results were lost.
  const wrong = outcomes.filter((line) => !/usable|applied/.test(line));
  if (wrong.length > 0) throw new Error(`unexpected: ${wrong.join(', ')}`);
  return {
    checked,
    perSecond: checked / seconds,
    lateness: ascending(lateness),
    durations: ascending(durations),
    rss,
    calls,
    connections: after.connections,
    busy: { process: spent.process / seconds / 1_000, postgres: spent.postgres / seconds / 1_000, kms: spent.kms / seconds / 1_000 },
    cpuMs: spent.process / checked,
    postgresCpuMs: spent.postgres / checked,
    kmsCpuMs: spent.kms / checked,
  };
}

async function showStatements() {
  console.table(
    await sql(
      postgres.url,
      `SELECT calls::int, rows::int, round(total_exec_time)::int AS total_ms, round(mean_exec_time::numeric, 3) AS mean_ms,
         wal_bytes::int / greatest(rows, 1)::int AS wal_per_row, left(regexp_replace(query, '\\s+', ' ', 'g'), 70) AS query
       FROM pg_stat_statements ORDER BY total_exec_time DESC LIMIT 12`,
    ),
  );
}

function report(bareRuns, checks) {
  const mean = (of) => bareRuns.reduce((sum, run) => sum + of(run), 0) / bareRuns.length;
  const bareCpu = mean((run) => run.cpuMs);
  const ratio = checks.cpuMs / bareCpu;
  const show = (number, digits = 0) => number.toFixed(digits);
  const load = `load before ${show(loadBefore, 1)}, after ${show(loadavg()[0], 1)}`;
  console.log(`\n${cpus().length} × ${cpus()[0].model}, ${load}; ${CONFIGURATIONS} configurations, ${SECONDS} s after ${WARM_UP} s\n`);
  const percent = (share) => `${show(share * 100)} %`;
  const rows = [
    ['', 'calls or checks/s', 'CPU ms each', 'PostgreSQL ms', 'loopback KMS ms'],
    ...bareRuns.map((run, index) => [
      `bare AWS SDK, ${index === 0 ? 'before' : 'after'}`,
      show(run.perSecond),
      show(run.cpuMs, 3),
      '',
      show(run.kmsCpuMs, 3),
    ]),
    ['Atrest', show(checks.perSecond), show(checks.cpuMs, 3), show(checks.postgresCpuMs, 3), show(checks.kmsCpuMs, 3)],
  ];
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  for (const row of rows)
    console.log(row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column]))).join('  '));
  const { busy, lateness, durations } = checks;
  console.log(`\ncores in use: kms-validation ${percent(busy.process)}, PostgreSQL ${percent(busy.postgres)}, KMS ${percent(busy.kms)}`);
  console.log(`a check began after it was due: p50 ${show(quantile(lateness, 0.5))} ms, p99 ${show(quantile(lateness, 0.99))} ms`);
  console.log(`a check took: p50 ${show(quantile(durations, 0.5), 1)} ms, p99 ${show(quantile(durations, 0.99), 1)} ms`);
  console.log(`requests: ${JSON.stringify(checks.calls)}; connections opened since the start: ${checks.connections}`);
  console.log(`CPU of a check beside that of a bare call: ${show(ratio, 2)}; memory ${show(checks.rss)} MiB`);
  if (values.json === undefined) return;
  const figures = [
    { name: 'checks.per_minute', value: checks.perSecond * 60, unit: 'checks/min' },
    { name: 'checks.cpu_ratio_sdk', value: ratio, unit: 'ratio' },
    { name: 'checks.lateness_p99_ms', value: quantile(lateness, 0.99), unit: 'ms' },
    { name: 'checks.rss_mib', value: checks.rss, unit: 'MiB' },
  ];
  writeFileSync(values.json, `${JSON.stringify(figures, null, 2)}\n`);
}
