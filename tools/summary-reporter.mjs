/** Vitest reporter that ends a run with one plain line: `N passed, N failed, N skipped`. */
export default class SummaryReporter {
  onTestRunEnd(modules, unhandledErrors) {
    const count = { passed: 0, failed: unhandledErrors.length, skipped: 0 };
    for (const module of modules) {
      // A file that could not be loaded has no tests, only errors: it must not look like success.
      if (module.errors().length > 0) count.failed += 1;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        count[state === 'passed' || state === 'failed' ? state : 'skipped'] += 1;
      }
    }
    // The default reporter prints its own summary in the same phase; this line comes after everything else.
    process.once('exit', () => process.stdout.write(`${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped\n`));
  }
}
