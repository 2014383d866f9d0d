import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '@atrest/platform-logging';
import { readConfiguration } from '../configuration.js';
import { Standalone } from '../standalone.js';
import { ApiClient } from './api-client.js';
import { Customer } from './customer.js';
import { freePort } from './free-port.js';
import { Report } from './report.js';
import { Scenario } from './scenario.js';

/** Shorter than the defaults (60 s, 20 s) so that nobody waits; the demo says so. */
const SHORTENED = { ATREST_CHECK_INTERVAL: '2s', ATREST_CHECK_CONFIRMATION_WINDOW: '2s' };

async function demo(): Promise<void> {
  const report = new Report();
  const folder = await mkdtemp(join(tmpdir(), 'atrest-demo-'));
  await chmod(folder, 0o711);
  const logFile = join(folder, 'atrest.log');
  const logger = createLogger({ service: 'demo', level: 'info', file: logFile });
  const configuration = readConfiguration({
    ...SHORTENED,
    ATREST_DATA_DIR: folder,
    ATREST_HTTP_PORT: String(await freePort()),
    ATREST_AGENT_PORTS: process.env['ATREST_AGENT_PORTS'] ?? '27400-27499',
    ATREST_ON_EXIT: 'stop',
  });

  report.title('Atrest starts: PostgreSQL, three services, an agent, a development KMS, a mailbox');
  const system = await Standalone.start(configuration, logger);
  const { apiUrl, owner, developmentKms, servers } = system.summary;
  let failure: unknown = null;
  try {
    report.step(`API at ${apiUrl}`);
    report.step(`database server: ${servers!.description}`);
    report.step('for the demo, keys are checked every 2 s and confirmed within 2 s (defaults: 60 s and 20 s)');
    const customer = new Customer({
      api: new ApiClient(apiUrl, owner!),
      orgId: owner!.orgId,
      kms: { endpoint: developmentKms!.server.url, ...developmentKms!.credentials },
      mails: system.mailCatcher!,
    });
    try {
      await new Scenario(customer, report).run();
    } finally {
      customer.close();
    }
  } catch (error) {
    failure = error;
  }
  report.title('Everything is stopped and removed');
  await system.stop(logger, 'stop');
  if (failure !== null) {
    report.step(`The demo failed. The log is kept: ${logFile}`);
    throw failure;
  }
  await rm(folder, { recursive: true, force: true });
  report.step('nothing is left running');
  report.title('Summary');
  report.detail(
    [
      `KMS change → detected    ${report.between('KMS change', 'detected')}   (check interval 2 s, three confirmations within 2 s)`,
      `detected → all stopped   ${report.between('detected', 'stopped')}`,
      `detected → mail          ${report.between('detected', 'mail')}`,
      `KMS change → valid       ${report.between('KMS restored', 'valid')}`,
      `valid → writable         ${report.between('valid', 'writable')}`,
      `whole demo               ${report.elapsed()}, with ${servers!.simulated ? 'mongod-sim (no mongod was found)' : servers!.description}`,
    ].join('\n'),
  );
}

try {
  await demo();
} catch (error) {
  console.error(`\nThe demo failed: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
