import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { partAvailable } from '../../parts.js';
import { waitFor } from '../../postgres/wait-for.js';
import { processEnd } from '../../process/source-process.js';
import { KmipAuthority } from '../kmip-authority.js';

const run = promisify(execFile);

/** Not compiled, so it is found in the sources from everywhere. */
const LAUNCHER = fileURLToPath(new URL('../../../src/kmip-server/pykmip/launch.py', import.meta.url));

/** Debian's package is seen by the system's Python only, which need not be the first in the PATH. */
const INTERPRETERS = ['/usr/bin/python3', 'python3'];

async function findPython(): Promise<string | null> {
  for (const python of INTERPRETERS) {
    try {
      await run(python, [LAUNCHER, '--check']);
      return python;
    } catch {
      // This one is not installed or does not have it; the next may.
    }
  }
  return null;
}

/** Whether suites can have a real PyKMIP server on this machine; says what to install when not. Use with `describe.skipIf`. */
export async function pykmipAvailable(): Promise<boolean> {
  return partAvailable('pykmip', (await findPython()) !== null, 'apt-get install python3-pykmip');
}

/** A free port below 65535, which PyKMIP refuses. */
async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => {
    probe.listen(0, '127.0.0.1', resolve);
  });
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => {
    probe.close(resolve);
  });
  return port < 65_535 ? port : freePort();
}

/** PyKMIP's own server on the loopback: a KMIP server that nobody here wrote. Keys belong to the common name of the client that made them. */
export class PykmipServer {
  private constructor(
    readonly authority: KmipAuthority,
    readonly host: { readonly host: string; readonly port: number },
    private readonly folder: string,
    private readonly child: ChildProcess,
    private readonly ended: Promise<unknown>,
  ) {}

  static async start(): Promise<PykmipServer> {
    const python = await findPython();
    if (python === null) throw new Error('PyKMIP is not installed: apt-get install python3-pykmip');
    const authority = await KmipAuthority.create();
    const { certificate, key } = await authority.server();
    const folder = await mkdtemp(join(tmpdir(), 'atrest-pykmip-'));
    const path = (name: string): string => join(folder, name);
    const port = await freePort();
    await mkdir(path('policy'));
    await writeFile(path('ca.pem'), authority.certificate);
    await writeFile(path('server.crt'), certificate);
    await writeFile(path('server.key'), key, { mode: 0o600 });
    const config = {
      hostname: '127.0.0.1',
      port,
      certificate_path: path('server.crt'),
      key_path: path('server.key'),
      ca_path: path('ca.pem'),
      auth_suite: 'TLS1.2',
      policy_path: path('policy'),
      enable_tls_client_auth: 'True',
      logging_level: 'INFO',
      database_path: path('keys.db'),
    };
    const lines = Object.entries(config).map(([name, value]) => `${name}=${value}`);
    await writeFile(path('server.conf'), ['[server]', ...lines, ''].join('\n'));
    // A process group of its own: PyKMIP starts helpers that must end with it.
    const child = spawn(python, [LAUNCHER, path('server.conf'), path('server.log')], {
      cwd: folder,
      detached: true,
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    let errors = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      errors += text;
    });
    const server = new PykmipServer(authority, { host: '127.0.0.1', port }, folder, child, processEnd(child));
    const serves = (): boolean => {
      if (child.exitCode !== null) throw new Error(errors);
      return server.log().includes('Starting connection service...');
    };
    try {
      await waitFor(serves, { describe: () => `PyKMIP to serve: ${errors}${server.log()}` });
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  /** What the server wrote about its work. */
  log(): string {
    try {
      return readFileSync(join(this.folder, 'server.log'), 'utf8');
    } catch {
      return '';
    }
  }

  /** Questions that the server has understood so far. */
  requests(): number {
    return this.log().split('Received request at time').length - 1;
  }

  /** Stops answering without ending any connection, as a machine does that hangs. */
  pause(): void {
    this.signal('SIGSTOP');
  }

  resume(): void {
    this.signal('SIGCONT');
  }

  async stop(): Promise<void> {
    this.resume();
    this.signal('SIGKILL');
    await this.ended;
    await rm(this.folder, { recursive: true, force: true });
  }

  /** To the whole group; one that is over already needs none. */
  private signal(name: NodeJS.Signals): void {
    const { pid, exitCode, signalCode } = this.child;
    if (pid !== undefined && exitCode === null && signalCode === null) process.kill(-pid, name);
  }
}
