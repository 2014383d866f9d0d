import { once } from 'node:events';
import { ConfigError } from '@atrest/platform-config';
import { createLogger } from '@atrest/platform-logging';
import { readConfiguration } from './configuration.js';
import { Standalone } from './standalone.js';
import { summaryLines } from './summary-lines.js';

async function main(): Promise<void> {
  const configuration = readConfiguration(process.env);
  const logger = createLogger({ service: 'standalone', level: configuration.ATREST_LOG_LEVEL, pretty: process.stdout.isTTY });
  const system = await Standalone.start(configuration, logger);
  const { servers } = system.summary;
  console.log(`\n${summaryLines(system.summary).join('\n')}\n`);

  const signal = await Promise.race(['SIGINT', 'SIGTERM'].map(async (name) => (await once(process, name), name)));
  logger.info({ signal }, 'stopping');
  await system.stop(logger);
  if (servers !== null && configuration.ATREST_ON_EXIT === 'leave') {
    console.log(
      "The clusters' processes keep running and are adopted at the next start. To stop them too: ATREST_ON_EXIT=stop npm start, then Ctrl-C.",
    );
  }
}

try {
  await main();
  process.exit(0);
} catch (error) {
  if (error instanceof ConfigError) {
    console.error(
      `Atrest cannot start, its configuration is wrong:\n${error.problems.map(({ variable, rule }) => `  ${variable}: ${rule}`).join('\n')}`,
    );
  } else {
    console.error(error);
  }
  process.exit(1);
}
