import { createServer } from 'node:net';
import { controlPathFor } from '../control/control-path.js';
import type { ServerLog } from './log.js';
import type { ServerOptions } from './options.js';
import type { Parameters } from './parameters.js';

/** What a program is started with. */
export interface Launch {
  options: ServerOptions;
  parameters: Parameters;
  log: ServerLog;
}

/** Path of this process's control socket, when it has one. */
export function controlPathOf({ options, parameters }: Launch): string | undefined {
  const setting = parameters.get('simControl');
  return typeof setting === 'string' && setting !== '' ? controlPathFor(setting, options.port) : undefined;
}

/** Why the server cannot listen, or undefined when it can: every address is tried and given back. */
export async function listenProblem({ addresses, port }: ServerOptions): Promise<NodeJS.ErrnoException | undefined> {
  for (const host of addresses) {
    const problem = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => {
      const trial = createServer();
      trial.once('error', resolve);
      trial.listen({ host, port }, () => trial.close(() => resolve(undefined)));
    });
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** The `error` attribute of the log line about a listener that cannot be set up. */
export function listenerError(problem: NodeJS.ErrnoException): { code: number; codeName: string; errmsg: string } {
  return { code: 9001, codeName: 'SocketException', errmsg: problem.code === 'EADDRINUSE' ? 'Address already in use' : problem.message };
}
