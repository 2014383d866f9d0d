// Checks the messages of all commits since the rules of commitlint.config.mjs hold:
//
//   node tools/commits.mjs [folder of a clone]
//
// Without git, without a history (an unpacked archive) or without the older part of it (a shallow clone) there is nothing to check against,
// which is said and is no failure.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The last commit that the rules do not hold for (its header is too long). */
const BEFORE = process.env['COMMITS_AFTER'] ?? '3130a2aaf6a783a3c014332c6c7579a30eca36c8';

const folder = process.argv[2] ?? process.cwd();
const root = fileURLToPath(new URL('..', import.meta.url));
const knows = spawnSync('git', ['-C', folder, 'merge-base', '--is-ancestor', BEFORE, 'HEAD'], { stdio: 'ignore' });
if (knows.status !== 0) {
  console.log(`Commits are not checked: this is no clone whose history reaches back to ${BEFORE}.`);
  process.exit(0);
}
const check = spawnSync(
  process.execPath,
  [
    `${root}node_modules/@commitlint/cli/cli.js`,
    '--config',
    `${root}commitlint.config.mjs`,
    '--cwd',
    folder,
    '--from',
    BEFORE,
    '--to',
    'HEAD',
  ],
  { stdio: 'inherit' },
);
if (check.error) throw check.error;
process.exit(check.status ?? 1);
