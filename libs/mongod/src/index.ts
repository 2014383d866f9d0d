export {
  ArgumentsError,
  commandLine,
  optionValue,
  parseCommandLine,
  redactArguments,
  type ArgumentsGoal,
  type CommandLine,
  type CommandLineOption,
} from './arguments.js';
export { LOG_IDS, FAILURE_IDS, WRONG_KEY_IDS } from './log-ids.js';
export { parseLogLine, type LogRecord } from './log-record.js';
export { LogReader, tailLog, type LogReaderOptions } from './log-reader.js';
export { RunLog, type RunLogOptions } from './run-log.js';
export { explainExit, type ExitExplanation, type ExitStatus } from './explain-exit.js';
export { processTable, type ProcessIdentity, type ProcessTable, type TableEntry } from './process-table.js';
export { findMongosOnPort, findProcessOnDbPath, readLockFile, type LockFile } from './find-process.js';
export {
  StartError,
  type ProcessExit,
  type ProcessQuery,
  type ProcessRunner,
  type SignalOutcome,
  type StartSpec,
  type SupervisedProcess,
} from './process-runner.js';
export { ChildProcessRunner, type ChildProcessRunnerOptions } from './child-process-runner.js';
export { InMemoryProcessRunner, type InMemoryBehaviour } from './in-memory-process-runner.js';
export { findMongod, type FindMongodOptions, type MongodFound, type MongodNotFound, type MongodSource } from './locate.js';
export { type CommandFailure, type CommandOutcome } from './command-outcome.js';
export {
  chooseStepUp,
  compareOpTimes,
  initialConfiguration,
  type MemberStatus,
  type OpTime,
  type ReplicaSetStatus,
  type StepUpChoice,
} from './replica-set.js';
export {
  localAddress,
  memberLogin,
  MongodConnection,
  parseAddress,
  type ConnectionTls,
  type Hello,
  type Login,
  type MongodAddress,
  type MongodConnectionOptions,
  type NewUser,
  type ShardEntry,
  type UserAccount,
} from './connection.js';
export { type RunCommand } from './backup/run-command.js';
export {
  extendBackupCursor,
  findBackupCursors,
  keepBackupCursor,
  killBackupCursors,
  openBackupCursor,
  type BackupCursor,
  type BackupFile,
  type OpenBackupCursor,
} from './backup/backup-cursor.js';
export { balancerStatus, shardsOf, startBalancer, stopBalancer, type BalancerStatus } from './backup/balancer.js';
export { fsyncLock, fsyncUnlock, isFsyncLocked } from './backup/fsync-lock.js';
export {
  lastOplogEntry,
  readMemberFacts,
  readServerSettings,
  storageOf,
  type MemberFacts,
  type MemberHealth,
  type ServerSettings,
} from './backup/server-facts.js';
