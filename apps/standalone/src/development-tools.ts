import { join } from 'node:path';
import { DevelopmentKms, MailCatcher, type Credentials } from '@atrest/testing';
import { DEVELOPMENT_KMS_PORT, MAILBOX_PORT } from './development-ports.js';
import { localSecret } from './local-secrets.js';

/** A development KMS and an access key for it. */
export interface RunningDevelopmentKms {
  readonly server: DevelopmentKms;
  readonly credentials: Credentials;
}

/** The development KMS with its keys in the data folder, and one access key that stays the same over restarts. */
export async function startDevelopmentKms(dataFolder: string): Promise<RunningDevelopmentKms> {
  const stateFile = join(dataFolder, 'development-kms.json');
  const server = await onPreferredPort(DEVELOPMENT_KMS_PORT, (port) => DevelopmentKms.start({ port, stateFile }));
  const made = await localSecret(join(dataFolder, 'secrets'), 'development-kms-access-key', () => JSON.stringify(server.createAccessKey()));
  return { server, credentials: JSON.parse(made) as Credentials };
}

/** A mail server that delivers nothing and keeps every mail in the data folder. */
export async function startMailCatcher(dataFolder: string): Promise<MailCatcher> {
  const folder = join(dataFolder, 'mailbox');
  return onPreferredPort(MAILBOX_PORT, (httpPort) => MailCatcher.start({ httpPort, folder }));
}

/** Starts a development tool on its usual port, or on a free one when that is taken. */
async function onPreferredPort<Tool>(preferred: number, start: (port: number) => Promise<Tool>): Promise<Tool> {
  try {
    return await start(preferred);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    return start(0);
  }
}
