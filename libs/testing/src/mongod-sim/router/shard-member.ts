import { CommandError } from '../commands/command-error.js';
import type { CommandTable } from '../commands/command.js';
import { acknowledge } from '../commands/write.js';
import { type Doc, isDocument } from '../bson-values.js';
import type { MongodServer } from '../server.js';
import { ReplicaSetMonitor, parseSetAddress } from './replica-set-monitor.js';

const VERSION_NS = 'admin.system.version';

/** The config servers of the sharded cluster this member was added to, or undefined when it belongs to none yet. */
function configServersOf(server: MongodServer): ReplicaSetMonitor | undefined {
  const identity = server.engine.collection(VERSION_NS)?.get('shardIdentity');
  const address = identity?.['configsvrConnectionString'];
  return typeof address === 'string' ? new ReplicaSetMonitor(parseSetAddress(address)) : undefined;
}

/** Resolves when the config servers have a primary. A shard that was not added to a cluster does not wait. */
export async function awaitConfigServer(server: MongodServer): Promise<void> {
  const monitor = configServersOf(server);
  if (monitor === undefined) return;
  server.log.info('initandlisten', 'SHARDING', 22071, 'initializing sharding state', { configServers: monitor.connectionString });
  while (!server.stopping) {
    try {
      await monitor.primary(0);
      break;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, server.timings.configServerRetryMs)); // Until they come, nothing can be done.
    }
  }
  monitor.close();
}

/** A shard that stops after its config servers are gone keeps trying to reach them (recorded: 21 to 23 s). */
export async function lingerWithoutConfigServer(server: MongodServer): Promise<void> {
  const monitor = configServersOf(server);
  if (monitor === undefined) return;
  const until = Date.now() + server.timings.orphanShardStopMs;
  while (Date.now() < until && (await monitor.look()).length === 0) {
    await new Promise((resolve) => setTimeout(resolve, server.timings.configServerRetryMs));
  }
  monitor.close();
}

/** What mongos asks of a shard. */
export function shardCommands(server: MongodServer): CommandTable {
  return {
    _addShard: {
      adminOnly: true,
      needs: 'write',
      run: async ({ command }): Promise<Doc> => {
        if (server.options.clusterRole !== 'shardsvr') {
          throw new CommandError(193, 'Cannot accept sharding commands if not started with --shardsvr');
        }
        const identity = command['shardIdentity'];
        if (!isDocument(identity)) throw new CommandError(2, 'shardIdentity is missing');
        const before = server.engine.collection(VERSION_NS)?.get('shardIdentity');
        if (before !== undefined && String(before['clusterId']) !== String(identity['clusterId'])) {
          throw new CommandError(20, 'the shard belongs to another cluster already');
        }
        const doc = { ...identity, _id: 'shardIdentity' };
        const opTime = server.writer.write([{ op: before === undefined ? 'insert' : 'replace', ns: VERSION_NS, doc }]);
        return acknowledge(server, { writeConcern: { w: 'majority', wtimeout: 60_000 } }, opTime);
      },
    },
  };
}
