import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';

const script = fileURLToPath(new URL('test.mjs', import.meta.url));
const reporter = fileURLToPath(new URL('summary-reporter.mjs', import.meta.url));
const programs = join(dirname(dirname(script)), 'node_modules', '.bin');

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'atrest-test-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const PASSES = "it('passes', () => {});";
const FAILS = "it('fails', () => { throw new Error('always'); });";
/** Of two tests, one fails while a file is not there that the other leaves behind. */
const STALLS = `
import { existsSync, writeFileSync } from 'node:fs';
const path = new URL('been-here', import.meta.url);
it('is stalled', () => { if (!existsSync(path)) throw new Error('stalled'); });
it('comes after it', () => writeFileSync(path, ''));`;

/** The runner on spec files of these contents. */
function run(ci: boolean, ...contents: string[]) {
  const root = mkdtempSync(join(folder, 'root-'));
  contents.forEach((content, index) => writeFileSync(join(root, `${index}.spec.ts`), content));
  const { CI: _, TEST_SUMMARY: __, ...env } = process.env;
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, `--root=${root}`, '--globals', `--reporter=${reporter}`], {
    encoding: 'utf8',
    env: { ...env, ...(ci && { CI: 'true' }), PATH: `${programs}:${env['PATH']}` },
  });
  return { status, output: stdout + stderr, lastLine: stdout.trim().split('\n').at(-1) };
}

it('in CI a file that fails runs once more, and one line counts all tests once', () => {
  const { status, output, lastLine } = run(true, PASSES, STALLS);
  expect(lastLine).toBe('3 passed, 0 failed, 0 skipped');
  expect(output).toContain('Failed at first and passed the second time: 1.spec.ts');
  expect(status).toBe(0);
});

it('what fails twice is broken', () => {
  const { status, output, lastLine } = run(true, PASSES, STALLS, FAILS, 'not a program');
  expect(lastLine).toBe('3 passed, 2 failed, 0 skipped');
  expect(output).toContain('Once more, one by one: ');
  expect(status).toBe(1);
});

it.each([
  ['where many files fail', true, Array.from({ length: 6 }, () => FAILS)],
  ['where an error belongs to no test', true, ["it('leaves an error behind', () => void Promise.reject(new Error('loose')));", FAILS]],
  ['where somebody watches', false, [STALLS]],
])('nothing runs again %s', (_, ci, contents) => {
  expect(run(ci, ...contents)).toMatchObject({ status: 1, output: expect.not.stringContaining('Once more') });
});
