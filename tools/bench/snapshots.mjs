// npm run bench:snapshots [-- --json FILE] [--mebibytes 1536] [--folder DIR]
// First, incremental and unchanged snapshot and restore of the same data, beside restic (and kopia, where it is found) and beside what the machine
// can do at best, all in one run.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { changeData, makeData } from './snapshots/data.mjs';
import { measure } from './snapshots/measure.mjs';

const { values } = parseArgs({
  options: { json: { type: 'string' }, mebibytes: { type: 'string', default: '1536' }, folder: { type: 'string', default: tmpdir() } },
});
const folder = mkdtempSync(join(values.folder, 'atrest-bench-snapshots-'));
const data = join(folder, 'data');
const script = (name) => fileURLToPath(new URL(`./snapshots/${name}.mjs`, import.meta.url));
const snapshotId = (index) => `65f0c0ffee65f0c0ffee010${index}`;

const storedBytes = (path) =>
  readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);

const restic = (...args) =>
  measure('restic', ['-r', join(folder, 'restic'), '--no-cache', ...args], { env: { ...process.env, RESTIC_PASSWORD: 'benchmark' } });
const kopiaEnv = {
  ...process.env,
  KOPIA_PASSWORD: 'benchmark',
  KOPIA_CONFIG_PATH: join(folder, 'kopia.config'),
  KOPIA_CHECK_FOR_UPDATES: 'false',
};
const kopia = (...args) => measure('kopia', args, { env: kopiaEnv });
const atrest = (...args) => measure(process.execPath, [script('atrest'), ...args]);

const store = join(folder, 'atrest');
const SIDES = {
  Atrest: {
    store,
    init: () => atrest('init', store),
    take: (index) => atrest('take', store, data, snapshotId(index), ...(index > 1 ? [snapshotId(index - 1)] : [])),
    restore: () => atrest('restore', store, join(folder, 'atrest-restored'), snapshotId(3)),
  },
  restic: {
    store: join(folder, 'restic'),
    init: () => restic('init'),
    take: () => restic('backup', data),
    restore: () => restic('restore', 'latest', '--target', join(folder, 'restic-restored')),
  },
  kopia: {
    store: join(folder, 'kopia'),
    init: () => kopia('repository', 'create', 'filesystem', '--path', join(folder, 'kopia')),
    take: () => kopia('snapshot', 'create', data),
    restore: () => kopia('snapshot', 'restore', data, join(folder, 'kopia-restored')),
  },
};

const found = Object.keys(SIDES).filter((name) => name === 'Atrest' || spawnSync(name, ['--help']).error === undefined);
const results = {};
const rows = [];
try {
  const bytes = await makeData(data, Number(values.mebibytes));
  const mib = bytes / 1024 / 1024;
  const note = (side, step, { seconds, cpu, peak }, stored) => {
    (results[side] ??= {})[step] = { seconds, peak, stored };
    rows.push({
      side,
      step,
      s: seconds.toFixed(2),
      'MiB/s': Math.round(mib / seconds),
      'CPU s': cpu.toFixed(2),
      'peak MiB': Math.round(peak),
      'stored MiB': stored === undefined ? '' : (stored / 1024 / 1024).toFixed(1),
    });
  };
  const loadBefore = loadavg()[0];
  // A file changed within the last two seconds is read again by whoever is careful; a database's files have been there longer.
  await delay(2_500);
  for (const side of found) await SIDES[side].init();
  note('limit', 'read, HMAC, GCM, write', await measure(process.execPath, [script('limit'), data, join(folder, 'limit')]));
  for (const index of [0, 1]) rmSync(join(folder, `limit-${index}`));
  for (const [index, step] of [
    [1, 'first'],
    [2, '2 % changed'],
    [3, 'unchanged'],
  ]) {
    if (index === 2) await changeData(data, 0.02);
    if (index === 2) await delay(2_500);
    for (const side of found) {
      const before = storedBytes(SIDES[side].store);
      const measured = await SIDES[side].take(index);
      note(side, step, measured, storedBytes(SIDES[side].store) - before);
    }
  }
  for (const side of found) note(side, 'restore', await SIDES[side].restore());

  console.log(
    `${Math.round(mib)} MiB in ${readdirSync(data).length} files, ${cpus().length} cores (${cpus()[0].model}), load before ${loadBefore.toFixed(1)}`,
  );
  console.table(rows);
  const seconds = (side, step) => results[side]?.[step]?.seconds ?? Number.NaN;
  const figures = [
    ['snapshots.first_ratio_restic', seconds('restic', 'first') / seconds('Atrest', 'first'), 'times'],
    ['snapshots.first_ratio_limit', seconds('limit', 'read, HMAC, GCM, write') / seconds('Atrest', 'first'), 'times'],
    ['snapshots.unchanged_time_ratio_restic', seconds('Atrest', 'unchanged') / seconds('restic', 'unchanged'), 'times'],
    ['snapshots.restore_ratio_restic', seconds('restic', 'restore') / seconds('Atrest', 'restore'), 'times'],
    ['snapshots.peak_mib', Math.max(...Object.values(results.Atrest).map(({ peak }) => peak)), 'MiB'],
  ].filter(([, value]) => Number.isFinite(value));
  if (!found.includes('restic')) console.log('restic was not found: install it (Debian: apt-get install restic) to compare with it.');
  for (const [name, value, unit] of figures) console.log(`${name} ${value.toFixed(2)} ${unit}`);
  if (values.json !== undefined)
    writeFileSync(
      values.json,
      JSON.stringify(
        figures.map(([name, value, unit]) => ({ name, value, unit })),
        null,
        2,
      ),
    );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
