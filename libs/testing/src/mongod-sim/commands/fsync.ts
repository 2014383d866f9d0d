import { type Doc, long, truthy } from '../bson-values.js';
import type { MongodServer } from '../server.js';
import { CommandError } from './command-error.js';
import type { CommandTable } from './command.js';

/** `fsync`, with and without a lock, and `fsyncUnlock`. */
export function fsyncCommands(server: MongodServer): CommandTable {
  return {
    fsync: {
      adminOnly: true,
      run: async ({ command }): Promise<Doc> => {
        if (!truthy(command['lock'])) {
          await server.engine.sync();
          return { numFiles: 1 };
        }
        if (server.backup.isOpen) throw new CommandError(50884, 'The existing backup cursor must be closed before fsyncLock can succeed.');
        const lockCount = server.fsyncLock.lock();
        if (lockCount === 1) {
          server.engine.checkpoint();
          server.engine.hold();
        }
        return {
          info: 'now locked against writes, use db.fsyncUnlock() to unlock',
          lockCount: long(lockCount),
          seeAlso: 'http://dochub.mongodb.org/core/fsynccommand',
        };
      },
    },
    fsyncUnlock: {
      adminOnly: true,
      run: () => {
        const lockCount = server.fsyncLock.unlock();
        if (lockCount === undefined) throw new CommandError(undefined, 'fsyncUnlock called when not locked');
        if (lockCount === 0) server.engine.release();
        return { info: 'fsyncUnlock completed', lockCount: long(lockCount) };
      },
    },
  };
}
