// Runs the tests. In CI, the spec files that failed run once more, each in a process of its own that has the machine to itself: suites drive real
// servers on shared machines, where one may be stalled beyond any limit. What fails twice is broken. A test is never tried again in the process of
// its first try, whose leftovers it would meet.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { summaryLine } from './summary-reporter.mjs';

/** More files than these were not stalled one by one. */
const MOST_STALLED = 5;

const folder = mkdtempSync(join(tmpdir(), 'atrest-test-run-'));

function vitest(...parameters) {
  const summary = join(folder, 'summary.json');
  const { status, error } = spawnSync('vitest', ['run', ...parameters], {
    stdio: 'inherit',
    env: { ...process.env, TEST_SUMMARY: summary },
  });
  if (error) throw error;
  if (!existsSync(summary)) throw new Error(`vitest ended with ${status} before there was anything to report`);
  const report = { status, ...JSON.parse(readFileSync(summary, 'utf8')) };
  rmSync(summary);
  return report;
}

try {
  const given = process.argv.slice(2);
  const run = vitest(...given);
  let { status } = run;
  const failed = Object.keys(run.files).filter((file) => run.files[file].failed > 0);
  if (process.env['CI'] !== undefined && run.unhandled === 0 && failed.length > 0 && failed.length <= MOST_STALLED) {
    console.log(`\nOnce more, one by one: ${failed.join(', ')}\n`);
    const again = vitest(...given.filter((each) => each.startsWith('-')), '--maxWorkers=1', ...failed);
    Object.assign(run.files, again.files);
    run.unhandled = again.unhandled;
    status = again.status;
    const stalled = failed.filter((file) => run.files[file].failed === 0);
    if (stalled.length > 0) console.log(`Failed at first and passed the second time: ${stalled.join(', ')}`);
  }
  console.log(summaryLine(run));
  process.exitCode = status ?? 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
