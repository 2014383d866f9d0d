import { isAbsolute, resolve } from 'node:path';
import type { ProcessGoal } from '@atrest/contracts';
import {
  ArgumentsError,
  commandLine,
  optionValue,
  redactArguments,
  RunLog,
  StartError,
  type SupervisedProcess,
  type TableEntry,
} from '@atrest/mongod';
import { DataPathError, keepApart, prepareDataPath } from './data-path.js';
import type { OpenedAccess } from './process-access.js';
import type { SupervisorContext } from './supervisor-context.js';

/** A host that takes several members of one set is for trying things out: each mongod would take half of its memory. The least that mongod accepts. */
const SHARED_HOST_CACHE_GB = 0.25;

/** A process that runs, with its log. */
export interface Launched {
  readonly process: SupervisedProcess;
  readonly log: RunLog;
  /** Null when only the process knows where it logs. */
  readonly logPath: string | null;
  /** For the agent's own log. */
  readonly shown: readonly string[];
}

/**
 * Starts the process of a goal: data path, log, command line. `stillWanted` is asked last, because an order to stop may have come meanwhile;
 * null when it is not wanted any more.
 *
 * @throws ArgumentsError, DataPathError, StartError and errors of the file system
 */
export async function launch(
  context: SupervisorContext,
  goal: ProcessGoal,
  access: OpenedAccess,
  stillWanted: () => boolean,
): Promise<Launched | null> {
  const { runner, state, programs, dataFolder, childEnvironment } = context;
  const program = goal.kind === 'mongos' ? programs.mongos : programs.mongod;
  if (program === null) throw new StartError('There is no mongos on this host. Set MONGOS_BIN or the folder of the programs.');
  // Without its key file it would let everybody in.
  if (access.error !== null) throw new StartError(access.error);
  if (access.secret?.keyFile == null && (await state.hasKeyFile(goal.id))) {
    throw new StartError('The process had access control before. It is not started without: everybody could read it.');
  }
  const usedBefore = (await state.processRecord(goal.id)) !== null;
  if (goal.dbPath !== null) {
    await keepApart(goal.dbPath, state.path);
    await prepareDataPath(dataFolder, goal.dbPath, goal.adopted, usedBefore);
  }
  const keyFile = access.secret?.keyFile == null ? null : await state.storeKeyFile(goal.id, access.secret.keyFile);
  await state.rotateLog(goal.id);
  const { argv, logPath } = commandLine(goal, state.logPath(goal.id), {
    cacheSizeGB: context.allowsColocation ? SHARED_HOST_CACHE_GB : null,
    keyFile,
  });
  const consolePath = state.consolePath(goal.id);
  const log = new RunLog({ logPath, consolePath });
  await log.position();
  if (!stillWanted()) return null;
  const process = await runner.start({ program, argv, cwd: state.path, consolePath, env: childEnvironment });
  return { process, log, logPath, shown: [program, ...redactArguments(argv)] };
}

/** Follows the log of a process that is already running. */
export async function follow(found: TableEntry, process: SupervisedProcess): Promise<Launched> {
  const given = optionValue(found.argv.slice(1), 'logpath');
  const logPath = given === undefined ? null : isAbsolute(given) ? given : resolve(found.cwd ?? '/', given);
  const log = new RunLog({ logPath, consolePath: null });
  await log.position();
  return { process, log, logPath, shown: redactArguments(found.argv) };
}

/** Failures of this one process (its arguments, its folder, its program, its disk). Anything else is a fault of ours and is treated as one. */
export function isProcessFailure(error: unknown): error is Error {
  return (
    error instanceof ArgumentsError ||
    error instanceof DataPathError ||
    error instanceof StartError ||
    (error instanceof Error && 'code' in error && 'syscall' in error)
  );
}
