import { STOP_MONITORS, STOP_OPERATIONS, STOP_STORAGE, STOP_TRANSACTIONS, STOP_WIREDTIGER, type PlainLine } from './log-lines.js';
import type { ServerLog } from './log.js';

/** How far the server had come when it was stopped: later parts are not there to be stopped. */
export interface StopStage {
  /** The listener was set up (not yet so when the port was in use). */
  transport: boolean;
  storage: boolean;
  /** Diagnostic data capture ran. */
  capture: boolean;
  replicaSet: boolean;
  port: number;
}

/** What really happens at the marked places of the sequence. */
export interface StopActions {
  stepDown(): Promise<void>;
  closeListener(): void;
  stopReplication(): Promise<void>;
  closeConnections(): number;
  closeStorage(): void;
}

/** Stops a mongod in the recorded order and logs what mongod logs. Rejects only when the step-down is refused. */
export async function runStopSequence(
  log: ServerLog,
  context: string,
  stage: StopStage,
  waitMs: number,
  actions: StopActions,
): Promise<void> {
  const plain = (lines: readonly PlainLine[]): void => {
    for (const [s, c, id, msg] of lines) log.write(context, { s, c, id, msg });
  };
  log.info(context, 'REPL', 4784900, 'Stepping down the ReplicationCoordinator for shutdown', { waitTimeMillis: waitMs });
  await actions.stepDown();
  log.info(context, 'COMMAND', 4784901, 'Shutting down the MirrorMaestro');
  if (stage.replicaSet && stage.storage) {
    log.info(context, 'REPL', 40441, 'Stopping TopologyVersionObserver');
    log.info('TopologyVersionObserver', 'REPL', 40447, 'Stopped TopologyVersionObserver');
  }
  log.info(context, 'SHARDING', 4784902, 'Shutting down the WaitForMajorityService');
  if (stage.storage) log.info(context, 'CONTROL', 4784903, 'Shutting down the LogicalSessionCache');
  if (stage.transport) log.info(context, 'NETWORK', 20562, 'Shutdown: going to close listening sockets');
  actions.closeListener();
  if (stage.capture) log.info('listener', 'NETWORK', 23017, 'removing socket file', { path: `/tmp/mongodb-${stage.port}.sock` });
  log.info(context, 'NETWORK', 4784905, 'Shutting down the global connection pool');
  if (stage.transport) {
    log.info(context, 'STORAGE', 4784906, 'Shutting down the FlowControlTicketholder');
    log.info(context, '-', 20520, 'Stopping further Flow Control ticket acquisitions.');
  }
  if (stage.storage) {
    if (stage.replicaSet) {
      log.info(context, 'REPL', 4784907, 'Shutting down the replica set node executor');
      log.info('ReplNodeDbWorkerNetwork', 'ASIO', 22582, 'Killing all outstanding egress activity.');
    }
    log.info(context, 'STORAGE', 4784908, 'Shutting down the PeriodicThreadToAbortExpiredTransactions');
    log.info(context, 'STORAGE', 4784934, 'Shutting down the PeriodicThreadToDecreaseSnapshotHistoryCachePressure');
    log.info(context, 'REPL', 4784909, 'Shutting down the ReplicationCoordinator');
    await actions.stopReplication();
    plain(STOP_OPERATIONS);
    log.info(context, '-', 4695300, 'Interrupted all currently running operations', { opsKilled: actions.closeConnections() });
    plain(STOP_TRANSACTIONS);
  } else actions.closeConnections();
  log.info(context, 'NETWORK', 4784918, 'Shutting down the ReplicaSetMonitor');
  if (stage.replicaSet && stage.storage) log.info(context, 'REPL', 4784920, 'Shutting down the LogicalTimeValidator');
  plain(STOP_MONITORS);
  if (stage.storage) {
    plain(STOP_STORAGE);
    if (stage.replicaSet) log.info('OplogVisibilityThread', 'STORAGE', 22372, 'Oplog visibility thread shutting down.');
    plain(STOP_WIREDTIGER);
    log.info(context, 'STORAGE', 4795902, 'Closing WiredTiger', { closeConfig: 'leak_memory=true,' });
    const begin = Date.now();
    actions.closeStorage();
    log.info(context, 'STORAGE', 22430, 'WiredTiger message', {
      message: 'close_ckpt: [WT_VERB_CHECKPOINT_PROGRESS] saving checkpoint (mongod-sim)',
    });
    log.info(context, 'STORAGE', 4795901, 'WiredTiger closed', { durationMillis: Date.now() - begin });
    log.info(context, 'STORAGE', 22279, 'shutdown: removing fs lock...');
  }
  log.info(context, '-', 4784931, 'Dropping the scope cache for shutdown');
  log.info(context, 'FTDC', 4784926, 'Shutting down full-time data capture');
  if (stage.capture) log.info(context, 'FTDC', 20626, 'Shutting down full-time diagnostic data capture');
  log.info(context, 'CONTROL', 20565, 'Now exiting');
}
