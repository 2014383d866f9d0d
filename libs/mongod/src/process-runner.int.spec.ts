import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { ChildProcessRunner } from './child-process-runner.js';
import { findProcessOnDbPath, readLockFile } from './find-process.js';
import { InMemoryProcessRunner, type InMemoryBehaviour } from './in-memory-process-runner.js';
import { processRunnerContract } from './process-runner.contract.js';
import { processTable } from './process-table.js';

let folder: string;
let count = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atrest-runner-'));
  await writeFile(
    join(folder, 'program.mjs'),
    `const behaviour = JSON.parse(process.env.BEHAVIOUR);
     if (behaviour.endsAtOnce) process.exit(behaviour.endsAtOnce.code);
     process.on('SIGTERM', () => { if (!behaviour.ignoresSigterm) process.exit(0); });
     setInterval(() => {}, 1000);
     console.log('settled');`,
  );
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function realSpec(behaviour: InMemoryBehaviour) {
  const dbPath = join(folder, `data ${(count += 1)}`);
  await mkdir(dbPath);
  return {
    program: behaviour.missing ? join(folder, 'no-such-program') : process.execPath,
    argv: [join(folder, 'program.mjs'), '--dbpath', dbPath],
    cwd: folder,
    consolePath: join(folder, `console-${count}.log`),
    env: { PATH: process.env['PATH'] ?? '', BEHAVIOUR: JSON.stringify(behaviour) },
    dbPath,
  };
}

async function settled(spec: { consolePath: string }): Promise<void> {
  await vi.waitUntil(async () => (await readFile(spec.consolePath, 'utf8')).includes('settled'), { timeout: 45_000 });
}

processRunnerContract('child processes', () => ({
  runner: new ChildProcessRunner({ pollMs: 20, scanReuseMs: 0 }),
  spec: realSpec,
  settled,
  another: () => new ChildProcessRunner({ pollMs: 20, scanReuseMs: 0 }),
}));

const behaviours = new Map<string, InMemoryBehaviour>();
const imagined = new InMemoryProcessRunner((spec) => behaviours.get(spec.program) ?? {});
processRunnerContract('in memory', () => ({
  runner: imagined,
  spec: async (behaviour) => {
    const program = `program-${(count += 1)}`;
    behaviours.set(program, behaviour);
    return { program, argv: ['--dbpath', `/data/${count}`], cwd: '/', consolePath: '', env: {}, dbPath: `/data/${count}` };
  },
  settled: async () => {},
  another: () => imagined,
}));

describe('the process on a data path', () => {
  it('is not one that merely has the pid which a killed server left in its lock file', async () => {
    const dbPath = join(folder, 'killed');
    await mkdir(dbPath);
    await writeFile(join(dbPath, 'mongod.lock'), `${process.pid}\n`);
    expect(await readLockFile(dbPath)).toEqual({ state: 'pid', pid: process.pid });
    expect(await findProcessOnDbPath(processTable(), dbPath)).toBeNull();
  });

  it('is found through a symbolic link, and by an open file when its command line does not tell', async () => {
    const spec = await realSpec({});
    await writeFile(
      join(folder, 'holder.mjs'),
      `import { openSync } from 'node:fs'; openSync(process.env.HELD, 'a'); console.log('settled'); setInterval(() => {}, 1000);`,
    );
    const runner = new ChildProcessRunner({ scanReuseMs: 0 });
    const held = join(spec.dbPath, 'WiredTiger.lock');
    const child = await runner.start({ ...spec, argv: [join(folder, 'holder.mjs')], env: { ...spec.env, HELD: held } });
    try {
      await settled(spec);
      await writeFile(join(spec.dbPath, 'mongod.lock'), `${child.identity.pid}\n`);
      const link = join(folder, 'link');
      await symlink(spec.dbPath, link);
      expect(await runner.find({ dbPath: link })).toMatchObject(child.identity);
      await writeFile(join(spec.dbPath, 'mongod.lock'), '');
      expect(await readLockFile(spec.dbPath)).toEqual({ state: 'empty' });
      expect(await runner.find({ dbPath: link })).toBeNull();
    } finally {
      await runner.signal(child.identity, 'SIGKILL');
      await child.exited;
    }
  });

  it('survives the end of the program that started it', async () => {
    const spec = await realSpec({});
    const starter = join(folder, 'starter.mjs');
    await writeFile(
      starter,
      `import { spawn } from 'node:child_process';
       import { openSync } from 'node:fs';
       const out = openSync(${JSON.stringify(spec.consolePath)}, 'w');
       spawn(process.execPath, ${JSON.stringify(spec.argv)}, { detached: true, stdio: ['ignore', out, out], env: { BEHAVIOUR: '{}' } }).unref();`,
    );
    const runner = new ChildProcessRunner({ pollMs: 20, scanReuseMs: 0 });
    const first = await runner.start({ ...spec, argv: [starter], consolePath: join(folder, 'starter.log') });
    await first.exited;
    await settled(spec);
    const found = await runner.find({ dbPath: spec.dbPath });
    const adopted = await runner.adopt(found!);
    await runner.signal(found!, 'SIGTERM');
    expect(await adopted!.exited).toEqual({ code: null, signal: null });
  });
});
