// npm run bench:snapshots [-- --json FILE] [--parts store,catalogue] [--mebibytes 1536] [--catalogue 10000000] [--folder DIR]
// The store: first, incremental and unchanged snapshot and restore of the same data, beside restic (and kopia, where it is found) and beside what the
// machine can do at best, all in one run. The catalogue: pages of lists and the usage of keys over HTTP, with so many snapshots in PostgreSQL.
import { writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { measureCatalogue } from './snapshots/catalogue.mjs';
import { measureStore } from './snapshots/store.mjs';

const { values } = parseArgs({
  options: {
    json: { type: 'string' },
    parts: { type: 'string', default: 'store,catalogue' },
    mebibytes: { type: 'string', default: '1536' },
    catalogue: { type: 'string', default: '10000000' },
    folder: { type: 'string', default: tmpdir() },
  },
});
const machine = () => `${cpus().length} cores (${cpus()[0].model}), load before ${loadavg()[0].toFixed(1)}`;
const PARTS = {
  store: () => measureStore({ mebibytes: Number(values.mebibytes), parent: values.folder, machine }),
  catalogue: () => measureCatalogue({ snapshots: Number(values.catalogue), parent: values.folder, machine }),
};

const figures = [];
for (const part of values.parts.split(',')) figures.push(...(await PARTS[part]()).filter(([, value]) => Number.isFinite(value)));
for (const [name, value, unit] of figures) console.log(`${name} ${value.toFixed(2)} ${unit}`);
if (values.json !== undefined) {
  writeFileSync(
    values.json,
    JSON.stringify(
      figures.map(([name, value, unit]) => ({ name, value, unit })),
      null,
      2,
    ),
  );
}
