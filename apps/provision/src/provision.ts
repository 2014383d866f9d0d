import { randomBytes } from 'node:crypto';
import { provisionDatabase } from './provision-database.js';
import { SecretFolder } from './secret-folder.js';

/** The services, and whether they seal something. */
export const SERVICES = [
  { service: 'fleet', seals: true },
  { service: 'kms-validation', seals: true },
  { service: 'notification', seals: false },
  { service: 'restore-execution', seals: false },
  { service: 'snapshot-catalog', seals: false },
] as const;

/** What the job did for one service. */
export interface ProvisionResult {
  readonly service: string;
  readonly role: string;
  readonly schema: string;
}

/**
 * Roles and schemas in PostgreSQL, and each service's secrets as files. What exists is kept: passwords stay as long as their files do, sealing
 * keys for ever, because what they sealed cannot be opened without them.
 */
export async function provision(o: {
  readonly adminUrl: string;
  readonly folder: string;
  readonly rolePrefix?: string;
}): Promise<ProvisionResult[]> {
  const folders = new Map<string, SecretFolder>();
  const passwords = new Map<string, string>();
  for (const { service, seals } of SERVICES) {
    const folder = await SecretFolder.open(o.folder, service);
    folders.set(service, folder);
    const known = await folder.read('database-url');
    if (known !== undefined) passwords.set(service, decodeURIComponent(new URL(known).password));
    if (seals && (await folder.read('sealing-keys')) === undefined) {
      await folder.write('sealing-keys', `k1:${randomBytes(32).toString('base64')}`);
    }
  }
  const provisioned = await provisionDatabase({
    adminUrl: o.adminUrl,
    services: SERVICES.map(({ service }) => service),
    passwordOf: (service) => passwords.get(service),
    ...(o.rolePrefix !== undefined && { rolePrefix: o.rolePrefix }),
  });
  for (const { service, url } of provisioned) await folders.get(service)!.write('database-url', url);
  return provisioned.map(({ service, role, schema }) => ({ service, role, schema }));
}
