import { type Doc, isDocument, numberOf } from '../bson-values.js';
import type { MongodServer } from '../server.js';
import { CommandError } from './command-error.js';
import type { CommandTable } from './command.js';

const SETTINGS_NS = 'config.settings';
const ID = 'ReadWriteConcernDefaults';

/** The stored default read and write concern, or undefined when none was ever set. */
export function storedDefaults(server: MongodServer): Doc | undefined {
  return server.engine.collection(SETTINGS_NS)?.get(ID);
}

function refuseWhereUnsupported(server: MongodServer, command: string): void {
  if (server.replication === undefined) throw new CommandError(51300, `'${command}' is not supported on standalone nodes.`);
  if (server.options.clusterRole === 'shardsvr') throw new CommandError(51301, `'${command}' is not supported on shard nodes.`);
}

function reply(stored: Doc | undefined): Doc {
  const fields = Object.fromEntries(Object.entries(stored ?? {}).filter(([name]) => name !== '_id'));
  return { ...fields, localUpdateWallClockTime: stored?.['updateWallClockTime'] ?? new Date() };
}

function writeConcern(given: Doc): Doc {
  if (numberOf(given['w']) === 0) throw new CommandError(2, 'Default write concern must have w > 0');
  return { ...given, wtimeout: given['wtimeout'] ?? 0 };
}

function readConcern(given: Doc): Doc {
  if (!['local', 'available', 'majority'].includes(String(given['level']))) {
    throw new CommandError(2, `level: '${String(given['level'])}' is not suitable for the default read concern`);
  }
  return given;
}

function set(server: MongodServer, command: Doc): Doc {
  const { defaultReadConcern: read, defaultWriteConcern: write } = command;
  if (!isDocument(read) && !isDocument(write)) {
    throw new CommandError(2, 'At least one of the "defaultReadConcern" or "defaultWriteConcern" fields must be present');
  }
  const before = storedDefaults(server) ?? {};
  // An empty document unsets a default; an absent one leaves it.
  const chosen = (given: unknown, name: string, check: (doc: Doc) => Doc): Doc => {
    if (!isDocument(given)) return before[name] === undefined ? {} : { [name]: before[name] };
    return Object.keys(given).length === 0 ? {} : { [name]: check(given) };
  };
  const doc: Doc = {
    _id: ID,
    ...chosen(read, 'defaultReadConcern', readConcern),
    ...chosen(write, 'defaultWriteConcern', writeConcern),
    updateOpTime: server.writer.lastApplied.ts,
    updateWallClockTime: new Date(),
  };
  server.writer.write([{ op: 'replace', ns: SETTINGS_NS, doc }]);
  return reply(doc);
}

/** `getDefaultRWConcern` and `setDefaultRWConcern`. */
export function defaultConcernCommands(server: MongodServer): CommandTable {
  return {
    getDefaultRWConcern: {
      adminOnly: true,
      run: () => {
        refuseWhereUnsupported(server, 'getDefaultRWConcern');
        return reply(storedDefaults(server));
      },
    },
    setDefaultRWConcern: {
      adminOnly: true,
      needs: 'write',
      run: ({ command }) => {
        refuseWhereUnsupported(server, 'setDefaultRWConcern');
        return set(server, command);
      },
    },
  };
}
