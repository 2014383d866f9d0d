import { setTimeout as delay } from 'node:timers/promises';
import { compileConfig, ConfigError } from '@atrest/platform-config';
import { withSecretFiles } from '@atrest/platform-process';
import { provisionFields } from './configuration.js';
import { provision, type ProvisionResult } from './provision.js';

/** PostgreSQL may start after this job: refused, unknown host, starting up. */
const NOT_YET = /^(08...|57P0[1-5]|ECONNREFUSED|ECONNRESET|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH)$/;
const ATTEMPTS = 120;

/** SQLSTATE or Node's code. A host name with several addresses fails with one error for each. */
function codeOf(error: unknown): string {
  const { code, errors } = error as { code?: string; errors?: readonly { code?: string }[] };
  return code ?? errors?.[0]?.code ?? '';
}

async function main(): Promise<ProvisionResult[]> {
  const configuration = compileConfig(provisionFields, withSecretFiles(provisionFields, process.env));
  const options = { adminUrl: configuration.ATREST_ADMIN_DATABASE_URL.reveal(), folder: configuration.ATREST_SECRETS_FOLDER };
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await provision(options);
    } catch (error) {
      if (attempt === ATTEMPTS || !NOT_YET.test(codeOf(error))) throw error;
      await delay(1_000);
    }
  }
}

try {
  for (const { service, role, schema } of await main()) console.log(`${service}: role ${role} owns schema ${schema}`);
} catch (error) {
  console.error(`Provisioning failed: ${error instanceof ConfigError || error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
