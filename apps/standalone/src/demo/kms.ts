import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import {
  CancelKeyDeletionCommand,
  CreateKeyCommand,
  DescribeKeyCommand,
  DisableKeyCommand,
  EnableKeyCommand,
  KMSClient,
  ScheduleKeyDeletionCommand,
} from '@aws-sdk/client-kms';
import { readConfiguration } from '../configuration.js';
import { DEVELOPMENT_KMS_PORT } from '../development-ports.js';

const USAGE = `What a customer does in its KMS, on the development KMS of a running 'npm start':

  npm run kms -- create
  npm run kms -- disable|enable|schedule-deletion|cancel-deletion|describe <key id>

With the AWS CLI the same works: aws --endpoint-url http://127.0.0.1:${DEVELOPMENT_KMS_PORT} kms …`;

async function main([command = '', keyId]: string[]): Promise<void> {
  const configuration = readConfiguration(process.env);
  const secret = join(resolve(configuration.ATREST_DATA_DIR), 'secrets', 'development-kms-access-key');
  const credentials = JSON.parse(await readFile(secret, 'utf8')) as { accessKeyId: string; secretAccessKey: string };
  const kms = new KMSClient({ endpoint: `http://127.0.0.1:${DEVELOPMENT_KMS_PORT}`, region: 'us-east-1', credentials });
  if (command === 'create') {
    const { KeyMetadata } = await kms.send(new CreateKeyCommand({ Description: 'made by npm run kms' }));
    console.log(KeyMetadata!.KeyId);
    return;
  }
  if (keyId === undefined) throw new Error(USAGE);
  const input = { KeyId: keyId };
  switch (command) {
    case 'disable':
      await kms.send(new DisableKeyCommand(input));
      break;
    case 'enable':
      await kms.send(new EnableKeyCommand(input));
      break;
    case 'schedule-deletion':
      await kms.send(new ScheduleKeyDeletionCommand({ ...input, PendingWindowInDays: 7 }));
      break;
    case 'cancel-deletion':
      await kms.send(new CancelKeyDeletionCommand(input));
      break;
    case 'describe':
      break;
    default:
      throw new Error(USAGE);
  }
  const { KeyMetadata } = await kms.send(new DescribeKeyCommand(input));
  console.log(`${KeyMetadata!.Arn} is ${KeyMetadata!.KeyState}`);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
