import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

/** Programs whose command line names something in the folder: PostgreSQL, Kafka, mongod. As `pid command`. */
export async function programsIn(folder: string): Promise<string[]> {
  const commands = process.platform === 'linux' ? await fromProc() : await fromPs();
  return commands.filter(([pid, command]) => pid !== process.pid && command.includes(folder)).map(([pid, command]) => `${pid} ${command}`);
}

async function fromProc(): Promise<[number, string][]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  return Promise.all(
    pids.map(async (pid): Promise<[number, string]> => {
      // A process that ended since has no file any more.
      const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      return [Number(pid), command.replaceAll('\0', ' ').trim()];
    }),
  );
}

async function fromPs(): Promise<[number, string][]> {
  const { stdout } = await promisify(execFile)('ps', ['-axo', 'pid=,command='], { maxBuffer: 16 * 1024 * 1024 });
  return [...stdout.matchAll(/^\s*(\d+)\s+(.*)$/gm)].map((match) => [Number(match[1]), match[2]!]);
}
