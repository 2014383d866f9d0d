import { numberOf, truthy } from '../bson-values.js';
import type { ServerBase } from '../server.js';
import { CommandError } from './command-error.js';
import type { CommandTable } from './command.js';

/** `shutdown`: the connection is closed without a reply, then the process ends with exit code 0. */
export function shutdownCommand(server: ServerBase): CommandTable {
  return {
    shutdown: {
      adminOnly: true,
      run: async ({ command, connection }) => {
        if (!connection.local) {
          throw new CommandError(13, 'shutdown must run from localhost when running db without auth');
        }
        const seconds = numberOf(command['timeoutSecs']) ?? server.timings.shutdownWaitMs / 1000;
        if (seconds < 0) throw new CommandError(2, 'Timeout must be non-negative');
        const force = truthy(command['force']);
        server.log.info(connection.context, 'COMMAND', 4695400, 'Terminating via shutdown command', { force, timeoutSecs: seconds });
        await server.faults.whileSet('ignore-sigterm', connection.whenClosed());
        await server.stop({ context: connection.context, force, waitMs: seconds * 1000 });
        return { document: undefined };
      },
    },
  };
}
