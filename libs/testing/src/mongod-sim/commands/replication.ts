import { type Doc, isDocument, numberOf, stringOf, truthy } from '../bson-values.js';
import { Int32 } from 'bson';
import { rollbackIdOf } from '../replication/rollback.js';
import type { Replication } from '../replication/replication.js';
import type { MongodServer } from '../server.js';
import { CommandError } from './command-error.js';
import type { CommandContext, CommandTable } from './command.js';

/** Commands of a replica set: for its users, and those its members talk with. */
export function replicationCommands(server: MongodServer): CommandTable {
  const replication = (): Replication => {
    if (server.replication === undefined) throw new CommandError(76, 'not running with --replSet');
    return server.replication;
  };
  return {
    replSetInitiate: { adminOnly: true, run: ({ command }) => replication().initiate(command['replSetInitiate']) },
    replSetReconfig: {
      adminOnly: true,
      run: ({ command }) => replication().reconfigure(command['replSetReconfig'], truthy(command['force'])),
    },
    replSetGetStatus: { adminOnly: true, run: () => replication().status() },
    replSetGetConfig: { adminOnly: true, run: () => ({ config: replication().configDocument() }) },
    replSetGetRBID: {
      adminOnly: true,
      run: () => {
        replication();
        return { rbid: new Int32(rollbackIdOf(server.engine)) };
      },
    },
    replSetStepDown: { adminOnly: true, run: (context) => stepDown(replication(), context) },
    replSetStepUp: {
      adminOnly: true,
      run: async ({ command }) => {
        await replication().stepUp(truthy(command['skipDryRun']));
        return {};
      },
    },
    replSetFreeze: { adminOnly: true, run: ({ command }) => replication().freeze(numberOf(command['replSetFreeze']) ?? 0) },
    replSetHeartbeat: {
      adminOnly: true,
      run: ({ command, connection }) => {
        const from = stringOf(command['from']);
        if (from !== undefined && from !== '') connection.member = from;
        return replication().answerHeartbeat(command);
      },
    },
    replSetRequestVotes: { adminOnly: true, run: ({ command }) => replication().answerVoteRequest(command) },
    replSetUpdatePosition: { adminOnly: true, run: ({ command }) => replication().updatePosition(command) },
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

async function stepDown(replication: Replication, { command, connection }: CommandContext): Promise<Doc> {
  const seconds = numberOf(command['replSetStepDown']) ?? 60;
  const force = truthy(command['force']);
  const catchUp = numberOf(command['secondaryCatchUpPeriodSecs']) ?? (force ? 0 : 10);
  if (seconds < 0 || catchUp < 0) throw new CommandError(2, 'stepdown period must be a non-negative integer');
  if (catchUp > seconds) throw new CommandError(2, 'stepdown period must be longer than secondaryCatchUpPeriodSecs');
  await replication.stepDown({ waitMs: catchUp * 1000, force, frozenMs: seconds * 1000, context: connection.context });
  return {};
}
