import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileConfig, ConfigError, secret } from '@atrest/platform-config';
import { afterAll, expect, it } from 'vitest';
import { withSecretFiles } from './secret-files.js';

const folder = mkdtempSync(join(tmpdir(), 'atrest-secret-files-'));
afterAll(() => rmSync(folder, { recursive: true }));
const fields = { ATREST_DATABASE_URL: secret({ description: 'For tests.' }) };

it('reads a setting from the file that its variable with _FILE names', () => {
  const path = join(folder, 'url');
  writeFileSync(path, 'postgres://u:p@h/d\n');
  const environment = withSecretFiles(fields, { ATREST_DATABASE_URL_FILE: path, OTHER_FILE: '/nowhere' });
  expect(compileConfig(fields, environment).ATREST_DATABASE_URL.reveal()).toBe('postgres://u:p@h/d');
});

it.each([{ ATREST_DATABASE_URL_FILE: join(folder, 'missing') }, { ATREST_DATABASE_URL_FILE: '/x', ATREST_DATABASE_URL: 'y' }])(
  'refuses %j',
  (environment) => {
    expect(() => withSecretFiles(fields, environment)).toThrow(ConfigError);
  },
);
