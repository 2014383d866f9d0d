// What the AWS SDK costs by itself: the same Decrypt calls in a loop, with nothing before and nothing behind.
import { DecryptCommand, KMSClient } from '@aws-sdk/client-kms';
import { serve } from '../events/shared.mjs';
import { keyOf } from './keys.mjs';

const { kms } = JSON.parse(process.argv[2]);
const { accessKeyId, secret: secretAccessKey } = keyOf(0);
const options = { region: 'us-east-1', endpoint: kms, credentials: { accessKeyId, secretAccessKey } };
const client = new KMSClient(options);
let next = 0;

async function decrypt() {
  const { arn, blob } = keyOf(next++);
  const answer = await client.send(
    new DecryptCommand({
      KeyId: arn,
      CiphertextBlob: Buffer.from(blob.ciphertext, 'base64'),
      EncryptionContext: { 'atrest:project': blob.context.projectId, 'atrest:purpose': 'canary' },
      EncryptionAlgorithm: 'SYMMETRIC_DEFAULT',
    }),
  );
  if (answer.Plaintext.length !== 32) throw new Error('this is no answer');
}

serve({
  /** Calls with so many in flight for so long: how many they were. */
  loop: async ({ concurrency, seconds }) => {
    const from = next;
    const end = performance.now() + seconds * 1_000;
    await Promise.all(
      Array.from({ length: concurrency }, async () => {
        while (performance.now() < end) await decrypt();
      }),
    );
    return next - from;
  },
  end: () => client.destroy(),
});
