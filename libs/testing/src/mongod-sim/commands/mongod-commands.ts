import { Binary, Long } from 'bson';
import { userCommands } from '../access/users.js';
import { type Doc, isDocument } from '../bson-values.js';
import type { MongodServer } from '../server.js';
import { CommandError } from './command-error.js';
import { maxTimeMs } from './command-options.js';
import { collectionCommands } from './collections.js';
import type { Command, CommandContext, CommandTable } from './command.js';
import { defaultConcernCommands } from './default-concerns.js';
import { diagnosticCommands } from './diagnostics.js';
import { fsyncCommands } from './fsync.js';
import { helloCommands } from './hello.js';
import { shardCommands } from '../router/shard-member.js';
import { queryCommands } from './query.js';
import { replicationCommands } from './replication.js';
import { shutdownCommand } from './shutdown.js';
import { writeCommands } from './write.js';

/** All commands of a mongod. `commandNames` is filled by the caller, for `listCommands`. */
export function mongodTables(server: MongodServer): { tables: CommandTable[]; commandNames: string[] } {
  const commandNames: string[] = [];
  const serverStatus = (): Doc => ({
    storageEngine: { name: 'wiredTiger', supportsCommittedReads: true, persistent: true, readOnly: false },
    ...(server.replication === undefined ? {} : { repl: server.replication.helloRole('isWritablePrimary') }),
  });
  const role = (primaryField: string, context: CommandContext): Doc => ({
    ...(server.replication?.helloRole(primaryField) ?? { [primaryField]: true }),
    ...server.access?.greet(context),
  });
  return {
    commandNames,
    tables: [
      helloCommands(server, role),
      diagnosticCommands(server, { serverStatus, commandNames: () => commandNames, currentOp: () => lockInfo(server) }),
      fsyncCommands(server),
      server.access?.commands() ?? {},
      userCommands(server),
      shutdownCommand(server),
      queryCommands(server),
      writeCommands(server),
      collectionCommands(server),
      replicationCommands(server),
      defaultConcernCommands(server),
      shardCommands(server),
    ],
  };
}

function lockInfo(server: MongodServer): Doc {
  return server.fsyncLock.locked ? { fsyncLock: true, info: 'use db.fsyncUnlock() to terminate the fsync write/snapshot lock' } : {};
}

/** Refuses what a member in its present state must not do, as mongod refuses it. */
export async function admitCommand(server: MongodServer, command: Command, context: CommandContext): Promise<void> {
  await server.access?.admit(context);
  const gossip = context.command['$clusterTime'];
  if (isDocument(gossip)) server.writer.clock.advance(gossip['clusterTime']);
  if (command.needs === undefined || command.needs === 'any') return;
  await server.replication?.admit(command.needs, context);
  if (command.needs !== 'write' || !server.fsyncLock.locked) return;
  if (!(await server.fsyncLock.released(maxTimeMs(context.command)))) throw new CommandError(50, 'operation exceeded time limit');
  // While it waited it may have ceased to be primary.
  await server.replication?.admit(command.needs, context);
}

/** `$clusterTime` and `operationTime` of a replica set member. */
export function replyFields(server: MongodServer): Doc {
  if (server.replication?.initialized !== true) return {};
  return {
    $clusterTime: { clusterTime: server.writer.clock.now, signature: { hash: new Binary(Buffer.alloc(20)), keyId: Long.ZERO } },
    operationTime: server.writer.lastApplied.ts,
  };
}
