import { ConfigError } from '@atrest/platform-config';
import type { Logger } from '@atrest/platform-logging';

/** Something that runs until it is told to end. */
export interface Runnable {
  stop(): Promise<void>;
}

/**
 * The life of a process: starts, waits for SIGTERM or SIGINT, stops, exits with 0. A wrong configuration is written to standard error, and
 * the exit code is 1; so it is when stopping takes longer than `stopLimitMs` or a second signal asks for an end at once.
 */
export async function runUntilSignal(
  name: string,
  begin: () => Promise<{ readonly logger: Logger; readonly stopLimitMs: number; readonly start: () => Promise<Runnable> }>,
): Promise<void> {
  try {
    const { logger, stopLimitMs, start } = await begin();
    const fatal = (error: unknown): void => {
      logger.fatal({ err: error }, 'an unforeseen error; the process ends');
      process.exit(1);
    };
    process.on('uncaughtException', fatal);
    process.on('unhandledRejection', fatal);
    const signal = nextSignal();
    const running = await start();
    logger.info({ signal: await signal }, 'stopping');
    void nextSignal().then(() => process.exit(1));
    setTimeout(() => {
      logger.warn({ stopLimitMs }, 'not everything ended in time; what is left is done after the next start');
      process.exit(1);
    }, stopLimitMs).unref();
    await running.stop();
    logger.info('stopped');
    process.exit(0);
  } catch (error) {
    const text =
      error instanceof ConfigError
        ? `its configuration is wrong:\n${error.problems.map(({ variable, rule }) => `  ${variable} ${rule}`).join('\n')}`
        : error instanceof Error
          ? error.message
          : String(error);
    process.stderr.write(`${name} cannot run: ${text}\n`);
    process.exit(1);
  }
}

function nextSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    const heard = (signal: NodeJS.Signals): void => {
      process.off('SIGTERM', heard);
      process.off('SIGINT', heard);
      resolve(signal);
    };
    process.on('SIGTERM', heard);
    process.on('SIGINT', heard);
  });
}
