import { parseArgs } from 'node:util';
import { createAgent, loadAgentConfig } from '@atrest/agent';
import { findMongod } from '@atrest/mongod';
import { ConfigError } from '@atrest/platform-config';
import { createLogger } from '@atrest/platform-logging';

const USAGE = `Usage: atrest-agent --config agent.yaml

Supervises the mongod and mongos of this host: starts, stops and reports them as the control plane says.
MONGOD_BIN and MONGOS_BIN name the programs; otherwise mongod.folder of the file or the PATH does.
SIGTERM ends the agent and leaves its processes running (onTerminate: stop in the file stops them first).
`;

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { config: { type: 'string' }, help: { type: 'boolean', short: 'h' } } });
  if (values.help || values.config === undefined) {
    process.stdout.write(USAGE);
    process.exitCode = values.help ? 0 : 2;
    return;
  }
  const config = await loadAgentConfig(values.config);
  const logger = createLogger({ service: 'agent', level: config.logLevel });
  const programs = await findMongod({ env: process.env, configuredFolder: config.mongodFolder });
  if (!programs.found) {
    logger.fatal({ tried: programs.tried }, programs.message);
    process.exitCode = 1;
    return;
  }
  logger.info({ mongod: programs.mongod, mongos: programs.mongos, version: programs.version, source: programs.source }, 'programs found');
  const agent = createAgent({ ...config, programs, logger });

  let ending = false;
  const end = (signal: string) => {
    if (ending) return;
    ending = true;
    logger.info({ signal, processes: config.onTerminate }, 'the agent ends');
    agent.stop({ processes: config.onTerminate }).then(
      () => process.exit(0),
      (error: unknown) => {
        logger.fatal({ err: error }, 'the agent could not end in order');
        process.exit(1);
      },
    );
  };
  process.once('SIGTERM', end);
  process.once('SIGINT', end);
  await agent.start();
}

main().catch((error: unknown) => {
  const text = error instanceof ConfigError || error instanceof Error ? error.message : String(error);
  process.stderr.write(`atrest-agent: ${text}\n`);
  process.exit(1);
});
