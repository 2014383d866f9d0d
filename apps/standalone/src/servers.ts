import { findMongod, MongodNotFoundError } from '@atrest/mongod';
import type { Logger } from '@atrest/platform-logging';
import { mongodSimExecutables } from '@atrest/testing';

/** The server programs the local agent runs. */
export interface Servers {
  readonly mongod: string;
  readonly mongos: string | null;
  /** What a person should know about them, one line. */
  readonly description: string;
  /** True when they are the stand-in, not a MongoDB server. */
  readonly simulated: boolean;
}

/** Finds mongod, or says plainly that there is none and takes the stand-in. */
export async function findServers(environment: NodeJS.ProcessEnv, logger: Logger): Promise<Servers> {
  try {
    const found = await findMongod({ env: environment, download: false });
    return { mongod: found.mongod, mongos: found.mongos, description: `mongod ${found.version} (${found.source})`, simulated: false };
  } catch (error) {
    if (!(error instanceof MongodNotFoundError)) throw error;
    logger.warn({ tried: error.tried }, 'no mongod found: using mongod-sim');
    const { mongod, mongos } = mongodSimExecutables();
    return {
      mongod,
      mongos,
      description: 'mongod-sim, a stand-in: no mongod was found (set MONGOD_BIN to use a real one)',
      simulated: true,
    };
  }
}
