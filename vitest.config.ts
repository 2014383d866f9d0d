import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: { conditions: ['@atrest/source'] },
  ssr: { resolve: { conditions: ['@atrest/source'] } },
  // Specs belong to no tsconfig that the transformer would find, so it is told here.
  oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
  test: {
    include: ['{libs,apps,tools}/**/*.spec.ts'],
    exclude: ['**/node_modules/**', '**/dist/**'],
    globalSetup: ['libs/testing/src/postgres/global-setup.ts'],
    // Real servers start and stop in these suites; the limits only end what hangs, nothing asserts time.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 45_000, interval: 20 } },
    reporters: ['default', './tools/summary-reporter.mjs'],
    pool: 'forks',
    maxWorkers: 2,
  },
});
