import { ConfigError } from '@atrest/platform-config';
import { createLogger } from '@atrest/platform-logging';
import { runUntilSignal } from './run-until-signal.js';

/** Programs for the tests, each run in a process of its own. */
export async function program(kind: string): Promise<void> {
  await runUntilSignal('sample', async () => {
    if (kind === 'misconfigured') throw new ConfigError([{ variable: 'ATREST_X', rule: 'is not set. Set it.' }]);
    return {
      logger: createLogger({ service: 'sample', level: 'silent' }),
      stopLimitMs: kind === 'slow' ? 50 : 30_000,
      start: async () => {
        const alive = setInterval(() => undefined, 1_000);
        process.stdout.write('started\n');
        if (kind === 'broken') setImmediate(() => void Promise.reject(new Error('unforeseen')));
        return {
          stop: async () => {
            clearInterval(alive);
            process.stdout.write('stopping\n');
            if (kind === 'slow' || kind === 'hanging') await new Promise((resolve) => setTimeout(resolve, 60_000));
          },
        };
      },
    };
  });
}
