import { type Doc, isDocument, numberOf, stringOf, truthy } from '../bson-values.js';
import type { ReplicationCoordinator } from '../replication/coordinator.js';
import { initiate, reconfigure } from '../replication/initiate.js';
import type { MongodServer } from '../server.js';
import { CommandError } from './command-error.js';
import type { CommandContext, CommandTable } from './command.js';

/** Commands of a replica set: for its users, and those its members talk with. */
export function replicationCommands(server: MongodServer): CommandTable {
  const replication = (): ReplicationCoordinator => {
    if (server.replication === undefined) throw new CommandError(76, 'not running with --replSet');
    return server.replication;
  };
  const member = (): ReplicationCoordinator => {
    const coordinator = replication();
    coordinator.requireConfig();
    return coordinator;
  };
  return {
    replSetInitiate: { adminOnly: true, run: ({ command }) => initiate(server, replication(), command['replSetInitiate']) },
    replSetReconfig: { adminOnly: true, run: ({ command }) => reconfigure(member(), command['replSetReconfig'], truthy(command['force'])) },
    replSetGetStatus: { adminOnly: true, run: () => replication().status() },
    replSetGetConfig: { adminOnly: true, run: () => ({ config: replication().requireConfig().document }) },
    replSetGetRBID: {
      adminOnly: true,
      run: () => ({ rbid: server.engine.collection('local.system.rollback.id')?.get('rollbackId')?.['rollbackId'] ?? 1 }),
    },
    replSetStepDown: { adminOnly: true, run: (context) => stepDown(member(), context) },
    replSetStepUp: {
      adminOnly: true,
      run: async ({ command }) => {
        await member().elections.stepUp(truthy(command['skipDryRun']));
        return {};
      },
    },
    replSetFreeze: { adminOnly: true, run: ({ command }) => freeze(member(), numberOf(command['replSetFreeze']) ?? 0) },
    replSetHeartbeat: {
      adminOnly: true,
      run: ({ command, connection }) => {
        const from = stringOf(command['from']);
        if (from !== undefined && from !== '') connection.member = from;
        return replication().heartbeats.answer(command);
      },
    },
    replSetRequestVotes: { adminOnly: true, run: ({ command }) => member().elections.answer(command) },
    replSetUpdatePosition: { adminOnly: true, run: ({ command }) => member().updatePosition(command) },
    _isSelf: { adminOnly: true, run: () => ({ id: server.replication?.instanceId ?? '' }) },
    appendOplogNote: {
      adminOnly: true,
      needs: 'write',
      run: ({ command }) => {
        server.writer.write([{ op: 'noop', message: isDocument(command['data']) ? command['data'] : {} }]);
        return {};
      },
    },
  };
}

async function stepDown(coordinator: ReplicationCoordinator, { command, connection }: CommandContext): Promise<Doc> {
  const seconds = numberOf(command['replSetStepDown']) ?? 60;
  const force = truthy(command['force']);
  const catchUp = numberOf(command['secondaryCatchUpPeriodSecs']) ?? (force ? 0 : 10);
  if (seconds < 0 || catchUp < 0) throw new CommandError(2, 'stepdown period must be a non-negative integer');
  if (catchUp > seconds) throw new CommandError(2, 'stepdown period must be longer than secondaryCatchUpPeriodSecs');
  await coordinator.primary.stepDown({ waitMs: catchUp * 1000, force, frozenMs: seconds * 1000, context: connection.context });
  return {};
}

function freeze(coordinator: ReplicationCoordinator, seconds: number): Doc {
  const { set } = coordinator;
  if (set.state === 'PRIMARY') throw new CommandError(95, 'cannot freeze node when primary or running for election. state: Primary');
  set.frozenUntil = seconds === 0 ? 0 : Date.now() + seconds * 1000;
  return seconds === 0 ? { info: 'unfreezing' } : {};
}
