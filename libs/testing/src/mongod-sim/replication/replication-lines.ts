import type { ServerLog } from '../process/log.js';

/** Logs the end of replication in the recorded order, with what really happens in its middle. */
export async function stopReplicationLines(log: ServerLog, context: string, work: () => Promise<void>): Promise<void> {
  log.info(context, 'REPL', 21328, 'Shutting down replication subsystems');
  log.info(context, 'REPL', 21302, 'Stopping replication reporter thread');
  log.info(context, 'REPL', 21303, 'Stopping replication fetcher thread');
  log.info(context, 'REPL', 21304, 'Stopping replication applier thread');
  await work();
  log.info('OplogApplier-0', 'REPL', 21225, 'Finished oplog application');
  log.info('BackgroundSync', 'REPL', 21107, 'Stopping replication producer');
  log.info(context, 'REPL', 21307, 'Stopping replication storage threads');
  log.info('OplogApplierNetwork', 'ASIO', 22582, 'Killing all outstanding egress activity.');
  log.info('ReplCoordExternNetwork', 'ASIO', 22582, 'Killing all outstanding egress activity.');
  log.info('ReplNetwork', 'ASIO', 22582, 'Killing all outstanding egress activity.');
}
