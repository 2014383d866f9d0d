// The store: first, incremental and unchanged snapshot and restore of the same data, beside restic and kopia and beside what the machine can do at best.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { changeData, makeData } from './data.mjs';
import { measure } from './measure.mjs';

const script = (name) => fileURLToPath(new URL(`./${name}.mjs`, import.meta.url));
const snapshotId = (index) => `65f0c0ffee65f0c0ffee010${index}`;

const storedBytes = (path) =>
  readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);

/** Each side with its commands; all work below one folder. */
function sidesIn(folder, data) {
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
  return {
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
}

/** Prints a table and answers the figures. */
export async function measureStore({ mebibytes, parent, machine }) {
  const folder = mkdtempSync(join(parent, 'atrest-bench-snapshots-'));
  const data = join(folder, 'data');
  const sides = sidesIn(folder, data);
  const found = Object.keys(sides).filter((name) => name === 'Atrest' || spawnSync(name, ['--help']).error === undefined);
  const results = {};
  const rows = [];
  try {
    const bytes = await makeData(data, mebibytes);
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
    const description = machine();
    // A file changed within the last two seconds is read again by whoever is careful; a database's files have been there longer.
    await delay(2_500);
    for (const side of found) await sides[side].init();
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
        const before = storedBytes(sides[side].store);
        const measured = await sides[side].take(index);
        note(side, step, measured, storedBytes(sides[side].store) - before);
      }
    }
    for (const side of found) note(side, 'restore', await sides[side].restore());

    console.log(`${Math.round(mib)} MiB in ${readdirSync(data).length} files, ${description}`);
    console.table(rows);
    if (!found.includes('restic')) console.log('restic was not found: install it (Debian: apt-get install restic) to compare with it.');
    const seconds = (side, step) => results[side]?.[step]?.seconds ?? Number.NaN;
    return [
      ['snapshots.first_ratio_restic', seconds('restic', 'first') / seconds('Atrest', 'first'), 'times'],
      ['snapshots.first_ratio_limit', seconds('limit', 'read, HMAC, GCM, write') / seconds('Atrest', 'first'), 'times'],
      ['snapshots.unchanged_time_ratio_restic', seconds('Atrest', 'unchanged') / seconds('restic', 'unchanged'), 'times'],
      ['snapshots.restore_ratio_restic', seconds('restic', 'restore') / seconds('Atrest', 'restore'), 'times'],
      ['snapshots.peak_mib', Math.max(...Object.values(results.Atrest).map(({ peak }) => peak)), 'MiB'],
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
