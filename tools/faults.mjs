// Runs the fault tests alone (titles that begin with a fault id, docs/reference/faults.md) and ends with one line per id.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const FAULT_ID = /\bF\d{2}\b/g;
const folder = mkdtempSync(join(tmpdir(), 'atrest-faults-'));
const report = join(folder, 'report.json');
const run = spawnSync(
  'vitest',
  [
    'run',
    '--testNamePattern',
    String.raw`\bF\d{2}\b`,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...process.argv.slice(2),
  ],
  { stdio: 'inherit' },
);
if (run.error) throw run.error;

/** @type {Map<string, {passed: number, failed: number, skipped: number}>} */
const faults = new Map();
for (const file of JSON.parse(readFileSync(report, 'utf8')).testResults) {
  for (const test of file.assertionResults) {
    for (const id of new Set(test.fullName.match(FAULT_ID) ?? [])) {
      const tally = faults.get(id) ?? { passed: 0, failed: 0, skipped: 0 };
      tally[test.status === 'passed' ? 'passed' : test.status === 'failed' ? 'failed' : 'skipped'] += 1;
      faults.set(id, tally);
    }
  }
}
rmSync(folder, { recursive: true, force: true });

const outcome = (tally) => (tally.failed > 0 ? 'failed' : tally.passed > 0 ? 'passed' : 'skipped');
const count = { passed: 0, failed: 0, skipped: 0 };
console.log();
for (const [id, tally] of [...faults].sort(([a], [b]) => a.localeCompare(b))) {
  count[outcome(tally)] += 1;
  console.log(`${id} ${outcome(tally)}`);
}
console.log(`${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
process.exit(run.status === 0 && count.failed === 0 && count.passed > 0 ? 0 : 1);
