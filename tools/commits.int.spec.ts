import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';

const script = fileURLToPath(new URL('commits.mjs', import.meta.url));

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'atrest-commits-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const git = (clone: string, ...parameters: string[]): string =>
  execFileSync('git', ['-C', clone, '-c', 'user.name=a', '-c', 'user.email=a@example.com', ...parameters], {
    encoding: 'utf8',
    stdio: 'pipe',
  });

/** A repository with these commits, and the first of them. */
function repository(...messages: string[]): { readonly clone: string; readonly first: string } {
  const clone = join(folder, 'origin');
  git(folder, 'init', '--quiet', clone);
  for (const message of messages) git(clone, 'commit', '--quiet', '--allow-empty', '--no-gpg-sign', '-m', message);
  return { clone, first: git(clone, 'rev-list', '--max-parents=0', 'HEAD').trim() };
}

function check(clone: string, first?: string): { readonly status: number | null; readonly output: string } {
  const env = { ...process.env, ...(first !== undefined && { COMMITS_AFTER: first }) };
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, clone], { encoding: 'utf8', env });
  return { status, output: stdout + stderr };
}

it('commits with a scope of ours pass, whatever was before', () => {
  const { clone, first } = repository(
    'Whatever',
    'feat(fleet): hosts',
    'fix(platform-messaging)!: order',
    'docs(snapshot-catalog): a word',
  );
  expect(check(clone, first)).toMatchObject({ status: 0 });
});

it.each(['no type', 'feat: no scope', 'feat(elsewhere): no scope of ours', `fix(fleet): ${'long '.repeat(40)}`])(
  'refuses %j',
  (message) => {
    const { clone, first } = repository('chore(workspace): begin', message, 'feat(fleet): after it');
    expect(check(clone, first)).toMatchObject({ status: 1 });
  },
);

it('a shallow clone, a foreign history and a folder without one are no failure', () => {
  const { clone, first } = repository('chore(workspace): begin', 'anything');
  const shallow = join(folder, 'shallow');
  git(folder, 'clone', '--quiet', '--depth', '1', pathToFileURL(clone).href, shallow);
  const empty = mkdtempSync(join(folder, 'empty-'));
  for (const seen of [check(shallow, first), check(clone), check(empty)]) {
    expect(seen).toEqual({ status: 0, output: expect.stringContaining('not checked') });
  }
});
