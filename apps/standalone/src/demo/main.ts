import { readConfiguration } from '../configuration.js';
import { Standalone } from '../standalone.js';
import { demoProgram } from './run-demo.js';

await demoProgram({
  parts: 'PostgreSQL, four services, an agent, a development KMS, a mailbox',
  start: async (environment, logger) => {
    const system = await Standalone.start(readConfiguration(environment), logger);
    return {
      summary: system.summary,
      mailCatcher: system.mailCatcher!,
      stop: () => system.stop(logger, 'stop'),
      leftRunning: () => Promise.resolve([]),
    };
  },
});
