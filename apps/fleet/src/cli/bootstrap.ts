import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { createFleetService } from '@atrest/fleet';
import { SealingKeys } from '@atrest/platform-auth';
import { compileConfig, ConfigError } from '@atrest/platform-config';
import { hostFields } from '@atrest/platform-host';
import { createLogger } from '@atrest/platform-logging';
import { EmbeddedTransport } from '@atrest/platform-messaging';
import { Metrics } from '@atrest/platform-metrics';
import { withSecretFiles } from '@atrest/platform-process';
import { systemClock } from '@atrest/platform-time';
import { fleetFields } from '../configuration.js';

const USAGE = `Usage: node apps/fleet/dist/cli/bootstrap.js [--enrolment-token-file FILE] [--recover-owner]

Makes the first organisation and its owner, and prints the owner's credentials, which are never shown again. At every later run it says that
there is one already. With --enrolment-token-file it also writes a token with which one agent can enrol within an hour.
--recover-owner makes another owner when nobody has a secret of one any more, and prints its credentials.
Needs PostgreSQL only: ATREST_DATABASE_URL, ATREST_SEALING_KEYS and ATREST_PUBLIC_URL, as the service fleet has them.
`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { 'enrolment-token-file': { type: 'string' }, 'recover-owner': { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const { ATREST_DATABASE_URL, ATREST_PUBLIC_URL, ATREST_LOG_LEVEL } = hostFields;
  const fields = { ATREST_DATABASE_URL, ATREST_PUBLIC_URL, ATREST_LOG_LEVEL, ...fleetFields };
  const configuration = compileConfig(fields, withSecretFiles(fields, process.env));
  const fleet = await createFleetService(
    {
      database: { url: configuration.ATREST_DATABASE_URL.reveal(), poolSize: 2 },
      // Never started: what happens here is published from the outbox by the service that runs.
      transport: new EmbeddedTransport(),
      clock: systemClock,
      logger: createLogger({ service: 'bootstrap', level: 'warn' }),
      metrics: new Metrics({}),
    },
    { sealingKeys: SealingKeys.parse(configuration.ATREST_SEALING_KEYS.reveal()), issuer: configuration.ATREST_PUBLIC_URL },
  );
  try {
    process.stdout.write(
      `${JSON.stringify({ owner: values['recover-owner'] === true ? await fleet.recoverOwner() : await fleet.bootstrap() })}\n`,
    );
    const file = values['enrolment-token-file'];
    if (file !== undefined) await writeFile(file, `${await fleet.createEnrolmentToken()}\n`, { mode: 0o600 });
  } finally {
    await fleet.stop();
  }
}

try {
  await main();
} catch (error) {
  process.stderr.write(`bootstrap failed: ${error instanceof ConfigError || error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
