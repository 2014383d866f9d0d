import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger, type Logger } from '@atrest/platform-logging';
import type { MailCatcher } from '@atrest/testing';
import type { StandaloneSummary } from '../standalone.js';
import { ApiClient } from './api-client.js';
import { Customer } from './customer.js';
import { programsIn } from './programs-in.js';
import { Report } from './report.js';
import { Scenario } from './scenario.js';

/** A running Atrest of whatever make. */
export interface DemoSystem {
  readonly summary: StandaloneSummary;
  readonly mailCatcher: MailCatcher;
  /** Stops everything, the clusters' processes too. */
  stop(): Promise<void>;
  /** What of it still runs, for people. */
  leftRunning(): Promise<readonly string[]>;
}

export interface Demo {
  /** What starts, for the first title. */
  readonly parts: string;
  readonly start: (environment: Record<string, string>, logger: Logger) => Promise<DemoSystem>;
}

/** Shorter than the defaults (60 s, 20 s) so that nobody waits; the demo says so. */
const SHORTENED = { ATREST_CHECK_INTERVAL: '2s', ATREST_CHECK_CONFIRMATION_WINDOW: '2s' };

/**
 * The main job, in a folder of its own that is removed afterwards.
 *
 * @param interruption ends the demo at its present step. Databases run in sessions of their own and would outlive a demo that is merely killed
 * @throws whatever went wrong; then the folder with the log is kept
 */
export async function runDemo(demo: Demo, interruption: AbortSignal): Promise<void> {
  const report = new Report();
  const folder = await mkdtemp(join(tmpdir(), 'atrest-demo-'));
  // So that root's PostgreSQL, which runs as somebody else, may enter it; otherwise its data would lie, and stay, somewhere else.
  await chmod(folder, 0o711);
  const logFile = join(folder, 'atrest.log');
  const logger = createLogger({ service: 'demo', level: 'info', file: logFile });
  report.title(`Atrest starts: ${demo.parts}`);
  const environment = {
    ...SHORTENED,
    ATREST_DATA_DIR: folder,
    ATREST_HTTP_PORT: '0',
    ATREST_AGENT_PORTS: process.env['ATREST_AGENT_PORTS'] ?? '27400-27499',
    ATREST_ON_EXIT: 'stop',
  };
  const system = await demo.start(environment, logger);
  const failure = await Promise.race([play(system, report), interrupted(interruption)]);
  report.title('Everything is stopped and removed');
  await system.stop();
  const left = [...(await system.leftRunning()), ...(await programsIn(folder))];
  if (failure !== null || left.length > 0) {
    report.step(`The demo failed. The log is kept: ${logFile}`);
    throw failure ?? new Error(`Still running: ${left.join(', ')}`);
  }
  await rm(folder, { recursive: true, force: true });
  report.step('nothing is left running');
  summarise(report, system.summary);
}

function interrupted(signal: AbortSignal): Promise<Error> {
  return new Promise((resolve) => {
    const end = () => resolve(new Error('it was interrupted'));
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
  });
}

async function play(system: DemoSystem, report: Report): Promise<Error | null> {
  const { apiUrl, owner, developmentKms, servers } = system.summary;
  report.step(`API at ${apiUrl}`);
  report.step(`database server: ${servers!.description}`);
  report.step('for the demo, keys are checked every 2 s and confirmed within 2 s (defaults: 60 s and 20 s)');
  const customer = new Customer({
    api: new ApiClient(apiUrl, owner!),
    orgId: owner!.orgId,
    kms: { endpoint: developmentKms!.server.url, ...developmentKms!.credentials },
    mails: system.mailCatcher,
  });
  try {
    await new Scenario(customer, report).run();
    return null;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  } finally {
    customer.close();
  }
}

function summarise(report: Report, { servers }: StandaloneSummary): void {
  report.title('Summary');
  report.detail(
    [
      `snapshot                 ${report.between('snapshot asked for', 'snapshot completed')}   (copied, encrypted, read back and proven)`,
      `KMS change → detected    ${report.between('KMS change', 'detected')}   (check interval 2 s, three confirmations within 2 s)`,
      `detected → all stopped   ${report.between('detected', 'stopped')}`,
      `detected → mail          ${report.between('detected', 'mail')}`,
      `KMS change → valid       ${report.between('KMS restored', 'valid')}`,
      `valid → writable         ${report.between('valid', 'writable')}`,
      `whole demo               ${report.elapsed()}, with ${servers!.simulated ? 'mongod-sim (no mongod was found)' : servers!.description}`,
    ].join('\n'),
  );
}

/** Runs a demo as a program: says why it failed, and the exit code says whether. */
export async function demoProgram(demo: Demo): Promise<void> {
  const interruption = new AbortController();
  // Once: whoever presses Ctrl-C again does not want to wait.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => interruption.abort());
  try {
    await runDemo(demo, interruption.signal);
    process.exit(0);
  } catch (error) {
    console.error(`\nThe demo failed: ${error instanceof Error ? error.message : String(error)}`);
    process.exit(1);
  }
}
