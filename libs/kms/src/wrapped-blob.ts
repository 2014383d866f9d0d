import { KmsUsageError, WrappedBlobRefusedError } from './errors.js';
import { MAX_PLAINTEXT_BYTES, type KeyContext, type KeyProvider, type WrappedBlob } from './key-provider.js';

/** Checks that every adapter makes before it asks its provider to wrap. */
export function assertWrappable(plaintext: Uint8Array, context: KeyContext): void {
  if (plaintext.length < 1 || plaintext.length > MAX_PLAINTEXT_BYTES) {
    throw new KmsUsageError(`A wrapped secret has 1 to ${MAX_PLAINTEXT_BYTES} bytes, not ${plaintext.length}.`);
  }
  if (context.projectId === '' || context.purpose === '') throw new KmsUsageError('A key context names a project and a purpose.');
}

/** Checks that every adapter makes before it asks its provider to unwrap; gives the ciphertext back. */
export function ciphertextFor(
  blob: WrappedBlob,
  expected: { readonly provider: KeyProvider['provider']; readonly mechanism: string; readonly context: KeyContext },
): Buffer {
  if (blob.format !== 1) throw new WrappedBlobRefusedError('format', '1');
  if (blob.provider !== expected.provider) throw new WrappedBlobRefusedError('provider', expected.provider);
  if (blob.mechanism !== expected.mechanism) throw new WrappedBlobRefusedError('mechanism', expected.mechanism);
  if (blob.context.projectId !== expected.context.projectId || blob.context.purpose !== expected.context.purpose) {
    throw new WrappedBlobRefusedError('context', "the caller's");
  }
  if (blob.resolvedKeyId === '') throw new WrappedBlobRefusedError('resolvedKeyId', 'the name of a key');
  const bytes = Buffer.from(blob.ciphertext, 'base64');
  // Buffer.from skips what is not Base64; a damaged blob must not reach the provider as a shorter one.
  if (bytes.length === 0 || bytes.toString('base64') !== blob.ciphertext) throw new WrappedBlobRefusedError('ciphertext', 'Base64');
  return bytes;
}
