import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '@atrest/platform-logging';
import { waitFor } from '@atrest/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Leftovers } from './leftovers.js';
import { Program } from './program.js';

const logger = createLogger({ service: 'test', level: 'silent' });

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atrest-programs-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function startProgram(source: string, leftovers: Leftovers): Promise<Program> {
  const script = join(folder, 'program.mjs');
  await writeFile(script, source);
  return Program.start({ name: 'sample', script, environment: { SAMPLE: '1' }, logFile: join(folder, 'sample.log'), logger, leftovers });
}

const logged = (text: string) =>
  waitFor(async () => (await readFile(join(folder, 'sample.log'), 'utf8')).includes(text), { describe: `'${text}' in the log` });

describe('a program of ours', () => {
  const PATIENT = `process.on('SIGTERM', () => process.exit(0)); setInterval(() => undefined, 1000); console.log('started', process.env.SAMPLE, process.env.ATREST_X)`;

  it('gets its own environment, is started again when it ends, and is gone when it is stopped', async () => {
    const leftovers = await Leftovers.endThose(folder, logger);
    process.env['ATREST_X'] = 'not for children';
    const program = await startProgram(PATIENT, leftovers);
    await logged('started 1 undefined');
    delete process.env['ATREST_X'];
    const first = program.pid;
    program.kill();
    await waitFor(() => program.pid !== null && program.pid !== first, { describe: 'it to be started again' });
    expect(program.restarts).toBe(1);
    await program.stop();
    expect([program.pid, await leftovers.alive()]).toEqual([null, []]);
  });

  it('that keeps ending is counted, and its last words are known', async () => {
    const source = `for (let line = 1; line <= 40; line += 1) console.log('line', line); throw new Error('cannot go on')`;
    const program = await startProgram(source, await Leftovers.endThose(folder, logger));
    await waitFor(() => program.restarts >= 2, { describe: 'it to be started again twice' });
    await program.stop();
    const words = await program.lastWords();
    expect(words).toContain('cannot go on');
    expect(words).not.toMatch(/line 1\b/);
  });

  it('is ended by the next start when its own was killed', async () => {
    const program = await startProgram(PATIENT, await Leftovers.endThose(folder, logger));
    await logged('started');
    const pid = program.pid!;
    // As after a kill of the whole start: another one reads the file.
    const stopped = waitFor(() => program.pid === null, { describe: 'it to end' });
    await Leftovers.endThose(folder, logger);
    await stopped;
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
    await program.stop();
  });

  it('is not mistaken for a later process with its pid', async () => {
    const other = spawn(process.execPath, ['-e', 'setInterval(() => undefined, 1000)']);
    await once(other, 'spawn');
    await writeFile(join(folder, 'processes.json'), JSON.stringify([{ name: 'sample', pid: other.pid, startTime: 'an earlier boot:1' }]));
    await Leftovers.endThose(folder, logger);
    expect([other.exitCode, other.signalCode]).toEqual([null, null]);
    other.kill('SIGKILL');
    await once(other, 'exit');
    await writeFile(join(folder, 'processes.json'), '[{"torn');
    await expect(Leftovers.endThose(folder, logger)).resolves.toBeDefined();
  });
});
