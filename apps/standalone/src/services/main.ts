import { createLogger } from '@atrest/platform-logging';
import { runUntilSignal } from '@atrest/platform-process';
import { summaryLines } from '../summary-lines.js';
import { readServicesConfiguration } from './configuration.js';
import { ServiceProcesses } from './service-processes.js';

await runUntilSignal('npm run services', async () => {
  const configuration = readServicesConfiguration(process.env);
  const logger = createLogger({ service: 'services', level: configuration.ATREST_LOG_LEVEL, pretty: process.stdout.isTTY });
  return {
    logger,
    // The agent may have to be patient with mongod; everything else ends within a minute.
    stopLimitMs: configuration.ATREST_STOP_KILL_AFTER + 120_000,
    start: async () => {
      const system = await ServiceProcesses.start({ configuration, environment: process.env, logger });
      const programs = [...system.programs.values()].map(({ name, pid }) => `  ${name.padEnd(18)}${pid}`);
      const lines = [...summaryLines(system.summary), `Kafka: ${system.summary.brokers}`, 'Processes:', ...programs];
      process.stdout.write(`\n${lines.join('\n')}\nLogs: ${system.logFolder}\n\n`);
      return system;
    },
  };
});
