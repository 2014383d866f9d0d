import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The release that is used when nothing else is asked for. */
export const DEFAULT_KAFKA_VERSION = '4.1.0';

/** The release that this run uses: `ATREST_KAFKA_VERSION`, else the default. */
export function kafkaVersion(environment: NodeJS.ProcessEnv = process.env): string {
  const version = environment['ATREST_KAFKA_VERSION'] ?? DEFAULT_KAFKA_VERSION;
  // It goes into a file name and into Maven's XML.
  if (!/^\d+\.\d+\.\d+$/.test(version)) throw new KafkaNotAvailableError('ATREST_KAFKA_VERSION is no release such as 3.9.2');
  return version;
}

/** Thrown when Apache Kafka cannot be had on this machine; says what to install. */
export class KafkaNotAvailableError extends Error {
  constructor(detail: string, options?: ErrorOptions) {
    super(`Apache Kafka is not available: ${detail}. Set KAFKA_BROKERS to a running broker, or install Java 17 and Maven.`, options);
    this.name = 'KafkaNotAvailableError';
  }
}

const pom = (version: string): string => `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>io.atrest</groupId><artifactId>kafka-distribution</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${version}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
`;

/**
 * The jars of one Kafka release, from Maven Central, kept in a cache outside the source tree. Maven verifies every checksum
 * (`--strict-checksums`); the folder appears under its final name only when it is complete.
 *
 * @returns the folder with the jars
 * @throws KafkaNotAvailableError when Java, Maven or the network is missing
 */
export async function kafkaDistribution(version: string): Promise<string> {
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'atrest');
  const folder = join(cache, `kafka-${version}`);
  if (await hasFiles(folder)) return folder;
  await mkdir(cache, { recursive: true });
  const work = await mkdtemp(join(tmpdir(), 'atrest-kafka-'));
  try {
    await writeFile(join(work, 'pom.xml'), pom(version));
    await run('mvn', ['-q', '-B', '--strict-checksums', 'dependency:copy-dependencies', `-DoutputDirectory=${join(work, 'libs')}`], {
      cwd: work,
    });
    const staged = `${folder}.${process.pid}`;
    await rename(join(work, 'libs'), staged).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EXDEV') throw error;
      await run('cp', ['-r', join(work, 'libs'), staged]);
    });
    // Another process may have been faster: its folder is just as good.
    await rename(staged, folder).catch(() => rm(staged, { recursive: true, force: true }));
    return folder;
  } catch (error) {
    throw new KafkaNotAvailableError((error as Error).message.split('\n')[0] ?? 'unknown', { cause: error });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function hasFiles(folder: string): Promise<boolean> {
  try {
    return (await readdir(folder)).length > 0;
  } catch {
    return false;
  }
}
