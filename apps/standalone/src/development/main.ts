import { mkdir } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { createLogger } from '@atrest/platform-logging';
import { runUntilSignal, type Runnable } from '@atrest/platform-process';
import { MailCatcher } from '@atrest/testing';
import { DEVELOPMENT_KMS_PORT, MAILBOX_PORT } from '../development-ports.js';
import { startDevelopmentKms } from '../development-tools.js';
import { forward } from './forward.js';

const USAGE = `The development tools of docker-compose.yml, each in a container of its own.

  main.js kms      a KMS that speaks AWS's protocol, on port ${DEVELOPMENT_KMS_PORT}
  main.js mail     a mail server that delivers nothing, on port 1025; the mailbox page on port ${MAILBOX_PORT}

They listen on the loopback by themselves and are opened here for the containers beside them. They protect nothing: publish their ports on
the loopback of your machine only. ATREST_DATA_DIR keeps what they know.
`;

const SMTP_PORT = 1025;

async function kms(dataFolder: string): Promise<Runnable> {
  let loopbackPort = 0;
  // First: the KMS then leaves its usual port to us.
  const opened = await forward(DEVELOPMENT_KMS_PORT, () => loopbackPort);
  const { server, credentials } = await startDevelopmentKms(dataFolder);
  loopbackPort = portOf(server.url);
  say(`Development KMS on port ${DEVELOPMENT_KMS_PORT}. It protects nothing.`);
  say(`  access key  ${credentials.accessKeyId}\n  secret key  ${credentials.secretAccessKey}`);
  return {
    stop: async () => {
      opened.close();
      await server.close();
    },
  };
}

async function mail(dataFolder: string): Promise<Runnable> {
  const catcher = await MailCatcher.start({ folder: `${dataFolder}/mailbox` });
  const opened = [await forward(SMTP_PORT, () => portOf(catcher.smtpUrl)), await forward(MAILBOX_PORT, () => portOf(catcher.pageUrl))];
  say(`Mail is taken on port ${SMTP_PORT} and shown on port ${MAILBOX_PORT}. Nothing is delivered.`);
  return {
    stop: async () => {
      for (const server of opened) server.close();
      await catcher.close();
    },
  };
}

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const portOf = (url: string): number => Number(new URL(url).port);

const { positionals } = parseArgs({ allowPositionals: true, options: { help: { type: 'boolean' } } });
const tool = { kms, mail }[positionals[0] ?? ''];
if (tool === undefined) {
  process.stdout.write(USAGE);
} else {
  const dataFolder = process.env['ATREST_DATA_DIR'] ?? '.atrest';
  await runUntilSignal(`development ${positionals[0]}`, async () => {
    await mkdir(dataFolder, { recursive: true });
    return { logger: createLogger({ service: 'development' }), stopLimitMs: 5_000, start: () => tool(dataFolder) };
  });
}
