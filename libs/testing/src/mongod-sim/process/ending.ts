import { DiskError } from '../storage/engine.js';
import type { ServerLog } from './log.js';

/** Ends as a failed assertion ends mongod: nothing is cleaned up, the lock file keeps the pid, exit code 14. */
export function fassert(log: ServerLog, context: string, msgid: number): never {
  log.fatal(context, '-', 23091, 'Fatal assertion', { msgid, file: 'mongod-sim', line: 0 });
  log.fatal(context, '-', 23092, '\n\n***aborting after fassert() failure\n\n');
  process.exit(14);
}

/** Ends the process when an error says that the disk is lost; every other error is left to the caller. */
export function endOnDiskError(log: ServerLog, error: unknown): void {
  if (!(error instanceof DiskError)) return;
  log.error('JournalFlusher', 'STORAGE', 22435, 'WiredTiger error', { error: 5, message: error.message });
  fassert(log, 'JournalFlusher', 50853);
}

/** Ends as a crash ends mongod: a backtrace in the log, then SIGABRT, no exit code. */
export function abort(log: ServerLog, context: string, message = 'Got signal: 6 (Aborted).\n'): void {
  log.fatal(context, 'CONTROL', 4757800, 'Writing fatal message', { message });
  const frames = Array.from({ length: 8 }, (_, index) => ({
    a: `55D0C0DE${index}000`,
    b: '55D0C0000000',
    o: `${index}000`,
    s: 'mongod-sim',
  }));
  log.info(context, 'CONTROL', 31431, 'BACKTRACE: {bt}', { bt: { backtrace: frames } });
  for (const frame of frames) log.info(context, 'CONTROL', 31427, '  Frame: {frame}', { frame });
  process.kill(process.pid, 'SIGABRT');
}

/** What nobody handled ends the process as such an error ends mongod: a lost disk with exit code 14, everything else with SIGABRT. */
export function endOnUncaught(log: ServerLog): void {
  process.on('uncaughtException', (error) => {
    endOnDiskError(log, error);
    abort(log, 'main', error.stack ?? error.message);
  });
}

/** Signals that stop the server cleanly, with the texts mongod gives them. */
export const STOP_SIGNALS = {
  SIGTERM: { number: 15, text: 'Terminated' },
  SIGINT: { number: 2, text: 'Interrupt' },
  SIGHUP: { number: 1, text: 'Hangup' },
} as const;
export type StopSignal = keyof typeof STOP_SIGNALS;

/** Logs the arrival of a signal. Node.js does not tell who sent it: our parent is named, who usually did. */
export function logSignal(log: ServerLog, signal: StopSignal): void {
  const { number, text } = STOP_SIGNALS[signal];
  log.info('SignalHandler', 'CONTROL', 23377, 'Received signal', { signal: number, error: text });
  log.info('SignalHandler', 'CONTROL', 23378, 'Signal was sent by kill(2)', { pid: process.ppid, uid: process.getuid?.() ?? 0 });
  log.info('SignalHandler', 'CONTROL', 23381, 'will terminate after current cmd ends');
}
