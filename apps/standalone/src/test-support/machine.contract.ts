import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findMongod } from '@atrest/mongod';
import { simExecutables, waitFor } from '@atrest/testing';

/** The servers under test: the real ones where MONGOD_BIN is set, else the stand-in. `arguments` make them small and quick where that changes nothing. */
export interface ServersUnderTest {
  readonly mongod: string;
  readonly mongos: string | null;
  readonly arguments: readonly string[];
  readonly mongosArguments: readonly string[];
}

export async function serversUnderTest(): Promise<ServersUnderTest> {
  if (!process.env['MONGOD_BIN']) {
    const quick = ['--setParameter', 'simFast=true'];
    return { ...simExecutables(), arguments: quick, mongosArguments: quick };
  }
  const found = await findMongod({ env: process.env });
  if (!found.found) throw new Error(found.message);
  return { ...found, arguments: ['--wiredTigerCacheSizeGB', '0.25', '--oplogSize', '64'], mongosArguments: [] };
}

async function listen(port: number): Promise<Server> {
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

async function close(servers: readonly Server[]): Promise<void> {
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
}

/** Different TCP ports on the loopback that nobody listens on at this moment. */
export async function freePorts(count: number): Promise<number[]> {
  // All at once: one after the other might give the same twice.
  const servers = await Promise.all(Array.from({ length: count }, () => listen(0)));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await close(servers);
  return ports;
}

/** The first of `count` consecutive free ports, below those that the kernel gives to outgoing connections. */
export async function freePortRange(count: number): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const first = 21_000 + Math.floor(Math.random() * 10_000);
    const tried = await Promise.allSettled(Array.from({ length: count }, (_, index) => listen(first + index)));
    await close(tried.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : [])));
    if (tried.every((each) => each.status === 'fulfilled')) return first;
  }
  throw new Error(`Found no ${count} consecutive free ports`);
}

/** False for a zombie too: it has ended. */
export async function isRunning(pid: number): Promise<boolean> {
  return (await commandLines()).has(pid);
}

/** Program and arguments of a live process. */
export async function commandLineOf(pid: number): Promise<string[]> {
  const line = (await commandLines()).get(pid);
  if (line === undefined) throw new Error(`Process ${pid} does not run`);
  return line.trim().split(' ');
}

/** Pids of all live processes whose command line names something in the folder. */
export async function processesIn(folder: string): Promise<number[]> {
  return [...(await commandLines())].filter(([pid, command]) => pid !== process.pid && command.includes(folder)).map(([pid]) => pid);
}

/** Ends every process that works in the folder, also stopped ones (SIGSTOP), and waits until none is left. */
export async function endProcessesIn(folder: string): Promise<void> {
  await waitFor(
    async () => {
      const left = await processesIn(folder);
      for (const pid of left) signal(pid, 'SIGKILL');
      return left.length === 0;
    },
    { describe: `all processes in ${folder} to end` },
  );
}

/** A process that has ended meanwhile is no error. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function commandLines(): Promise<Map<number, string>> {
  if (process.platform !== 'linux') {
    const { stdout } = await promisify(execFile)('ps', ['-axo', 'pid=,command='], { maxBuffer: 16 * 1024 * 1024 });
    return new Map([...stdout.matchAll(/^\s*(\d+)\s+(.*)$/gm)].map((match) => [Number(match[1]), match[2]!]));
  }
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(
    pids.map(async (pid) => [Number(pid), (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).replaceAll('\0', ' ')] as const),
  );
  // The command line of a zombie is empty.
  return new Map(lines.filter(([, command]) => command !== ''));
}

/** Files below a folder that hold a text as it is. A real server's journal files are 100 MiB each: they are read in pieces. */
export async function filesContaining(folder: string, text: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const found: string[] = [];
  for (const entry of entries.filter((each) => each.isFile())) {
    const path = join(entry.parentPath, entry.name);
    let before = Buffer.alloc(0);
    for await (const chunk of createReadStream(path, { highWaterMark: 4 * 1024 * 1024 }) as AsyncIterable<Buffer>) {
      const window = Buffer.concat([before, chunk]);
      if (window.includes(text)) {
        found.push(path);
        break;
      }
      before = window.subarray(-text.length);
    }
  }
  return found;
}
