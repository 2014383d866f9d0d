import { join, resolve } from 'node:path';
import { createFleetService } from '@atrest/fleet';
import { SealingKeys } from '@atrest/platform-auth';
import { createLogger } from '@atrest/platform-logging';
import { EmbeddedTransport } from '@atrest/platform-messaging';
import { Metrics } from '@atrest/platform-metrics';
import { systemClock } from '@atrest/platform-time';
import { readConfiguration } from '../configuration.js';
import { localSecret, newSealingKey } from '../local-secrets.js';
import { withOperatorDatabase } from './operator-database.js';

/** Makes another owner of the first organisation, with nothing but the database and the sealing keys: who has them may do anything anyway. */
async function main(): Promise<void> {
  const configuration = readConfiguration(process.env);
  const secrets = join(resolve(configuration.ATREST_DATA_DIR), 'secrets');
  const sealingKeys = SealingKeys.parse(
    configuration.ATREST_SEALING_KEYS?.reveal() ?? (await localSecret(secrets, 'sealing-keys', newSealingKey)),
  );
  const logger = createLogger({ service: 'recover-owner', level: 'warn' });
  const owner = await withOperatorDatabase(logger, async (url) => {
    const fleet = await createFleetService(
      // Never started: what happens here is published from the outbox by the service that runs.
      { database: { url, poolSize: 2 }, transport: new EmbeddedTransport(), clock: systemClock, logger, metrics: new Metrics({}) },
      { sealingKeys, issuer: configuration.ATREST_PUBLIC_URL ?? 'http://127.0.0.1' },
    );
    try {
      return await fleet.recoverOwner();
    } finally {
      await fleet.stop();
    }
  });
  if (owner === null) throw new Error("There is no organisation yet: 'npm start' makes the first one and prints its owner.");
  console.log('Another owner of the organisation. The secret is shown now and never again:');
  console.log(`client id      ${owner.clientId}`);
  console.log(`client secret  ${owner.secret}`);
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
