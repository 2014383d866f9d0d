import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Every package is a scope by its name, apps without `-app`; so is what spans them or belongs to none. */
const packages = globSync('{libs,libs/platform,apps}/*/package.json', { cwd: fileURLToPath(new URL('.', import.meta.url)) }).map((file) =>
  JSON.parse(readFileSync(new URL(file, import.meta.url), 'utf8')).name.replace(/^@atrest\/|-app$/g, ''),
);
/** Contexts of the design that have no package yet. */
const planned = ['snapshot-store', 'kmip', 'snapshot-catalog', 'kmip-proxy', 'console'];

export default {
  extends: ['@commitlint/config-conventional'],
  rules: {
    'scope-empty': [2, 'never'],
    'scope-enum': [2, 'always', [...new Set(['workspace', 'platform', 'docs', 'ci', 'bench', ...packages, ...planned])]],
    'body-max-line-length': [0],
    'header-max-length': [2, 'always', 160],
    'subject-case': [0],
  },
};
