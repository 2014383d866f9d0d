import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { partAvailable } from '../parts.js';
import { KafkaBroker } from './kafka-broker.js';

const run = promisify(execFile);

/** A real broker for one suite. */
export interface TestKafka {
  readonly brokers: readonly string[];
  /** Null when KAFKA_BROKERS names a broker that is not ours to stop. */
  readonly broker: KafkaBroker | null;
  stop(): Promise<void>;
}

const installed = async (program: string): Promise<boolean> => {
  try {
    await run(program, ['-version']);
    return true;
  } catch {
    return false;
  }
};

/** Whether suites can have a real Kafka on this machine; says what to install when not. Use with `describe.skipIf`. */
export async function kafkaAvailable(): Promise<boolean> {
  const available = process.env['KAFKA_BROKERS'] !== undefined || ((await installed('java')) && (await installed('mvn')));
  return partAvailable('kafka', available, 'set KAFKA_BROKERS to a running broker, or install Java 17 and Maven');
}

/** For the hook that starts a broker: the first one on a machine is fetched. Milliseconds; it only ends what hangs. */
export const KAFKA_START_LIMIT_MS = 600_000;

/** The broker that KAFKA_BROKERS names, else one of our own. */
export async function testKafka(): Promise<TestKafka> {
  const named = process.env['KAFKA_BROKERS'];
  if (named !== undefined) return { brokers: named.split(','), broker: null, stop: () => Promise.resolve() };
  const broker = await KafkaBroker.start();
  return { brokers: [broker.brokers], broker, stop: () => broker.stop() };
}
