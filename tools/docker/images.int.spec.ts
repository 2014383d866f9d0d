// What can be known of the images without a container engine: the stages fit together, docker-compose.yml names what is there, and each app
// finds everything it loads in the files that its image gets, and nothing that is only needed to build.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';

const root = fileURLToPath(new URL('../../', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'atrest-images-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface Stage {
  readonly name: string;
  readonly from: string;
  readonly instructions: readonly string[];
}

/** Stages in the order of the file, with their instructions on one line each. */
const stages: Stage[] = [];
for (const line of readFileSync(join(root, 'Dockerfile'), 'utf8').split('\n')) {
  const from = /^FROM (\S+)(?: AS (\S+))?$/.exec(line);
  if (from !== null) stages.push({ name: from[2] ?? '', from: from[1]!, instructions: [] });
  else if (/^[A-Z]+ /.test(line)) (stages.at(-1)?.instructions as string[] | undefined)?.push(line);
}
const stage = (name: string): Stage => stages.find((each) => each.name === name)!;
/** Of the stage and everything it is made from, the oldest first. */
const instructionsOf = (name: string): string[] => {
  const own = stage(name);
  return own === undefined ? [] : [...instructionsOf(own.from), ...own.instructions];
};
const last = (name: string, instruction: string): string | undefined =>
  instructionsOf(name)
    .findLast((line) => line.startsWith(`${instruction} `))
    ?.slice(instruction.length + 1);

/** How an app is started in its image, and the words with which it says that it was loaded but not configured. */
const APPS: Record<
  string,
  { readonly script: string; readonly says: RegExp; readonly parameters?: string[]; readonly variables?: object }
> = {
  fleet: { script: 'apps/fleet/dist/main.js', says: /ATREST_DATABASE_URL is not set/ },
  'kms-validation': { script: 'apps/kms-validation/dist/main.js', says: /ATREST_DATABASE_URL is not set/ },
  notification: { script: 'apps/notification/dist/main.js', says: /ATREST_DATABASE_URL is not set/ },
  'restore-execution': { script: 'apps/restore-execution/dist/main.js', says: /ATREST_DATABASE_URL is not set/ },
  'snapshot-catalog': { script: 'apps/snapshot-catalog/dist/main.js', says: /ATREST_DATABASE_URL is not set/ },
  ingress: { script: 'apps/ingress/dist/main.js', says: /ATREST_FLEET_URL is not set/ },
  provision: { script: 'apps/provision/dist/main.js', says: /ATREST_ADMIN_DATABASE_URL is not set/ },
  agent: { script: 'apps/agent/dist/main.js', says: /missing\.yaml/, parameters: ['--config', 'missing.yaml'] },
  standalone: { script: 'apps/standalone/dist/main.js', says: /ATREST_HTTP_PORT/, variables: { ATREST_HTTP_PORT: 'x' } },
};
const TARGETS = [...Object.keys(APPS), 'development'];

// Thousands of files: slow where the disk is busy.
describe('the Dockerfile', { timeout: 300_000 }, () => {
  it('is made of stages that exist before they are used, from files that exist', () => {
    const known = new Set<string>();
    for (const { name, from, instructions } of stages) {
      // Either an earlier stage or an image of a registry; those have a tag, a digest or an address.
      expect(known.has(from) || /[:/]|^\$\{\w+\}$/.test(from)).toBe(true);
      for (const line of instructions.filter((each) => each.startsWith('COPY '))) {
        const source = /--from=(\S+)/.exec(line)?.[1];
        if (source !== undefined) expect(known).toContain(source);
        else if (!line.startsWith('COPY . ') && !line.includes('--parents')) expect(existsSync(join(root, line.split(' ')[1]!))).toBe(true);
      }
      known.add(name);
    }
    expect([...known]).toEqual(expect.arrayContaining(TARGETS));
  });

  it.each(TARGETS)('%s: a numeric user without rights, no build tools, a health check where something serves', (target) => {
    expect(last(target, 'USER')).toBe('10001:10001');
    // The build stage holds compilers and sources; from it come assembled files and empty folders only.
    for (const line of instructionsOf(target)) expect(line).not.toMatch(/COPY --from=build (?!--chown=10001:10001 \/empty )/);
    expect(instructionsOf(target).some((line) => /\b(apt-get|npm|tsc)\b/.test(line))).toBe(false);
    const check = last(target, 'HEALTHCHECK');
    // A job ends, and what the development image serves docker-compose.yml asks for.
    if (target === 'provision') expect(check).toBeUndefined();
    else if (target === 'development') expect(check).toBe('NONE');
    else expect(check).toContain('/app/healthcheck.mjs');
  });

  it.each(Object.entries(APPS))(
    '%s: starts from the files of its image alone',
    (app, { script, says, parameters = [], variables = {} }) => {
      const assemble = /RUN node tools\/docker\/assemble\.mjs (.*)/.exec(stage(`${app}-files`).instructions.join('\n'))![1]!;
      const place = join(folder, app);
      const assembled = spawnSync(
        process.execPath,
        ['tools/docker/assemble.mjs', '--link', ...assemble.replace('/app', place).split(' ')],
        {
          cwd: root,
          encoding: 'utf8',
        },
      );
      expect(assembled).toMatchObject({ status: 0, stderr: '' });
      expect([last(app, 'CMD'), last(app, 'ENTRYPOINT')].join(' ')).toContain(script);
      const started = spawnSync(process.execPath, [script, ...parameters], {
        cwd: place,
        encoding: 'utf8',
        env: { PATH: '', NODE_PATH: '', ...variables },
      });
      expect(started.stderr + started.stdout).toMatch(says);
      expect(started.stderr).not.toMatch(/ERR_MODULE_NOT_FOUND|Cannot find/);
      const packages = readdirSync(join(place, 'node_modules'));
      for (const tool of ['typescript', 'vitest', 'vite', 'nx', 'oxlint', 'prettier', '@swc', '@types'])
        expect(packages).not.toContain(tool);
      rmSync(place, { recursive: true });
    },
  );
});

describe('docker-compose.yml', () => {
  interface ComposeService {
    readonly image: string;
    readonly build?: { readonly target: string };
    readonly environment?: Record<string, unknown>;
    readonly depends_on?: Record<string, unknown>;
    readonly volumes?: readonly string[];
    readonly ports?: readonly string[];
    readonly read_only?: boolean;
    readonly user?: string;
  }
  const compose = parse(readFileSync(join(root, 'docker-compose.yml'), 'utf8'), { merge: true }) as {
    readonly services: Record<string, ComposeService>;
    readonly volumes: Record<string, unknown>;
  };
  const services = Object.entries(compose.services);

  it('names stages, services and volumes that exist', () => {
    for (const [, { build, depends_on = {}, volumes = [] }] of services) {
      if (build !== undefined) expect(TARGETS).toContain(build.target);
      for (const name of Object.keys(depends_on)) expect(Object.keys(compose.services)).toContain(name);
      for (const volume of volumes) {
        const [source] = volume.split(':') as [string];
        if (source.startsWith('./')) expect(existsSync(join(root, source))).toBe(true);
        else expect(Object.keys(compose.volumes)).toContain(source);
      }
    }
  });

  it('runs ours without rights and on a read-only file system, and publishes on the loopback only', () => {
    for (const [name, service] of services) {
      if (service.build !== undefined) expect([name, service.read_only]).toEqual([name, true]);
      for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:/);
    }
  });

  it('sets only what the apps read', () => {
    const read = new Set(readFileSync(join(root, 'docs/reference/configuration.md'), 'utf8').match(/ATREST_\w+/g));
    for (const [name, { build, environment = {} }] of services) {
      if (build === undefined) continue;
      const unknown = Object.keys(environment).filter((variable) => !read.has(variable.replace(/_FILE$/, '')));
      expect([name, unknown]).toEqual([name, []]);
    }
  });
});
