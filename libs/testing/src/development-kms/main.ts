#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { DevelopmentKms } from './development-kms.js';

const usage = `Atrest development KMS: an AWS KMS on the loopback for trying things out. It protects nothing.

  --port <n>          port on 127.0.0.1 (default 4599)
  --state-file <file> keep keys and access keys in this file, in clear (mode 0600)
  --region <name>     where the first key is created (default us-east-1)
  --account-id <id>   12 digits (default 111122223333)
`;

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '4599' },
    'state-file': { type: 'string' },
    region: { type: 'string', default: 'us-east-1' },
    'account-id': { type: 'string', default: '111122223333' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(usage);
} else {
  const kms = await DevelopmentKms.start({
    port: Number(values.port),
    region: values.region,
    accountId: values['account-id'],
    ...(values['state-file'] !== undefined && { stateFile: values['state-file'] }),
  });
  console.log(`Atrest development KMS at ${kms.url}. A development tool: it protects nothing.`);
  if (kms.keys().length === 0) {
    const credentials = kms.createAccessKey();
    const { arn } = kms.createKey({ alias: 'atrest' });
    console.log(`  key                ${arn} (alias/atrest)`);
    console.log(`  access key id      ${credentials.accessKeyId}`);
    console.log(`  secret access key  ${credentials.secretAccessKey}`);
  }
  console.log(`  control            ${kms.url}/_control`);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void kms.close());
}
