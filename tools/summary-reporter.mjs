import { writeFileSync } from 'node:fs';

/**
 * Vitest reporter that ends a run with one plain line: `N passed, N failed, N skipped`. Where TEST_SUMMARY names a file, it writes there, per spec
 * file, what the line is made of, for tools/test.mjs.
 */
export default class SummaryReporter {
  onTestRunEnd(modules, unhandledErrors) {
    const files = {};
    for (const module of modules) {
      // A file that could not be loaded has no tests, only errors: it must not look like success.
      const count = (files[module.relativeModuleId] = { passed: 0, failed: module.errors().length > 0 ? 1 : 0, skipped: 0 });
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        count[state === 'passed' || state === 'failed' ? state : 'skipped'] += 1;
      }
    }
    const summary = { files, unhandled: unhandledErrors.length };
    const path = process.env['TEST_SUMMARY'];
    if (path !== undefined) writeFileSync(path, JSON.stringify(summary));
    // The default reporter prints its own summary in the same phase; this line comes after everything else.
    else process.once('exit', () => process.stdout.write(`${summaryLine(summary)}\n`));
  }
}

/** @param {{files: Record<string, {passed: number, failed: number, skipped: number}>, unhandled: number}} summary */
export function summaryLine({ files, unhandled }) {
  const sum = (name) => Object.values(files).reduce((total, count) => total + count[name], 0);
  return `${sum('passed')} passed, ${sum('failed') + unhandled} failed, ${sum('skipped')} skipped`;
}
