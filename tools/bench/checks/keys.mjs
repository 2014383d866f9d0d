// The keys that both sides of the benchmark ask for: each has an account, credentials and a canary of its own.
import { createHash } from 'node:crypto';

const hex = (index, digits) => index.toString(16).padStart(digits, '0');

export function keyOf(index) {
  const digest = createHash('sha256').update(`bench-${index}`).digest();
  const accountId = String(100_000_000_000 + index);
  const arn = `arn:aws:kms:us-east-1:${accountId}:key/${hex(index, 8)}-1111-4222-8333-444455556666`;
  const plaintext = digest;
  const projectId = `65f0c0ffee${hex(index, 14)}`;
  return {
    arn,
    projectId,
    accessKeyId: `AKIA${hex(index, 16).toUpperCase()}`,
    secret: digest.toString('base64').slice(0, 40),
    sha256: createHash('sha256').update(plaintext).digest('hex'),
    blob: {
      format: 1,
      provider: 'AWS',
      keyId: arn,
      resolvedKeyId: arn,
      keyVersion: null,
      mechanism: 'AWS_KMS:SYMMETRIC_DEFAULT',
      context: { projectId, purpose: 'canary' },
      // What the loopback KMS of the benchmark takes apart; as long as a real one.
      ciphertext: Buffer.concat([Buffer.from('atrest-bench:'), plaintext]).toString('base64'),
    },
  };
}
