import { join } from 'node:path';
import { findMongod } from '@atrest/mongod';
import type { Logger } from '@atrest/platform-logging';
import { simExecutables } from '@atrest/testing';

/** The server programs the local agent runs. */
export interface Servers {
  readonly mongod: string;
  readonly mongos: string | null;
  /** What a person should know about them, one line. */
  readonly description: string;
  /** True when they are the stand-in, not a MongoDB server. */
  readonly simulated: boolean;
}

/** Thrown when MONGOD_BIN names a program that cannot be used: taking another one silently would be a surprise. */
export class ServersError extends Error {
  readonly code = 'MONGOD_UNUSABLE';
}

/**
 * Finds mongod and mongos, or says plainly that there are none and takes the stand-in.
 *
 * @throws ServersError when MONGOD_BIN is set and does not serve
 */
export async function findServers(options: {
  readonly environment: NodeJS.ProcessEnv;
  readonly download: boolean;
  readonly cacheFolder: string;
  readonly logger: Logger;
}): Promise<Servers> {
  const found = await findMongod({
    env: options.environment,
    download: options.download,
    downloadFolder: join(options.cacheFolder, 'mongod'),
  });
  if (found.found) {
    return { mongod: found.mongod, mongos: found.mongos, description: `mongod ${found.version} (${found.source})`, simulated: false };
  }
  if (options.environment['MONGOD_BIN']) throw new ServersError(found.message);
  options.logger.warn({ tried: found.tried }, 'no mongod was found: using mongod-sim');
  return {
    ...simExecutables(),
    description: 'mongod-sim, a stand-in that is no database: no mongod was found (set MONGOD_BIN to use a real one)',
    simulated: true,
  };
}
