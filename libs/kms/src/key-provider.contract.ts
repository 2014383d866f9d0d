import type { DefinitiveReason } from '@atrest/contracts';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { checkCanary, proveKey } from './canary.js';
import { KmsUsageError, WrappedBlobRefusedError } from './errors.js';
import { MAX_PLAINTEXT_BYTES, type KeyProvider, type WrappedBlob } from './key-provider.js';

export interface HarnessKey {
  readonly keyId: string;
  /** Only where the KMS has aliases. */
  readonly alias?: string;
}

type Awaitable<Value> = Value | Promise<Value>;

/** What a suite needs of the KMS behind a provider. */
export interface KeyProviderHarness {
  /** A new key, under a new alias where the KMS has aliases. */
  createKey(): Awaitable<HarnessKey>;
  /** A provider for a key id or an alias. */
  provider(keyReference: string): KeyProvider;
  disable(keyId: string): Awaitable<void>;
  /** Only where disabling has a way back. */
  enable?(keyId: string): Awaitable<void>;
  /** Only where keys wait for their deletion. */
  scheduleDeletion?(keyId: string): Awaitable<void>;
  destroy(keyId: string): Awaitable<void>;
  /** Only where the KMS has aliases. */
  pointAlias?(alias: string, keyId: string): Awaitable<void>;
  /** Requests that reached the KMS so far. */
  requests(): number;
  close(): Promise<void>;
}

/** Where the KMSs themselves differ. */
export interface KmsDifferences {
  /** False where a key has only one name (Azure: the URL of one version). */
  readonly aliases?: boolean;
  /** What the KMS answers for a key that waits for deletion, where it does not say so; null where no key waits (KMIP). */
  readonly waitingForDeletion?: DefinitiveReason | null;
  /** False where a disabled key stays disabled (KMIP: revoked). */
  readonly enables?: boolean;
}

/** What every adapter and the fake promise. A provider that drops an argument fails here. */
export function keyProviderContract(name: string, open: () => Promise<KeyProviderHarness>, differences: KmsDifferences = {}): void {
  const { aliases = true, waitingForDeletion = 'KEY_PENDING_DELETION', enables = true } = differences;
  describe(`key provider: ${name}`, () => {
    const context = { projectId: '65f0c0ffee65f0c0ffee65f0', purpose: 'canary' };
    const secret = Buffer.from('0123456789abcdef0123456789abcdef');
    let kms: KeyProviderHarness;
    let key: HarnessKey;
    let provider: KeyProvider;

    beforeAll(async () => {
      kms = await open();
    });
    afterAll(() => kms.close());
    beforeEach(async () => {
      key = await kms.createKey();
      provider = kms.provider(key.keyId);
      return () => provider.close();
    });

    const reasonOf = async (call: Promise<unknown>): Promise<string> => {
      try {
        await call;
      } catch (error) {
        const verdict = provider.verdict(error);
        return `${verdict.kind} ${verdict.reason}`;
      }
      return 'usable';
    };

    it('gives back exactly what was wrapped, for any secret and context, after a trip through JSON', async () => {
      const texts = fc.string({ minLength: 1, maxLength: 40, unit: 'binary' });
      await fc.assert(
        fc.asyncProperty(
          fc.uint8Array({ minLength: 1, maxLength: MAX_PLAINTEXT_BYTES }),
          texts,
          texts,
          async (bytes, projectId, purpose) => {
            const blob = JSON.parse(JSON.stringify(await provider.wrap(bytes, { projectId, purpose }))) as WrappedBlob;
            expect(blob).toMatchObject({ format: 1, provider: provider.provider, keyId: key.keyId, context: { projectId, purpose } });
            expect(Buffer.from(await provider.unwrap(blob, { projectId, purpose }))).toEqual(Buffer.from(bytes));
          },
        ),
        { numRuns: 15 },
      );
    });

    it('wraps the same secret differently each time', async () => {
      const [a, b] = [await provider.wrap(secret, context), await provider.wrap(secret, context)];
      expect(a.ciphertext).not.toBe(b.ciphertext);
      expect(a.ciphertext).not.toContain(secret.toString('base64'));
    });

    it.each([0, MAX_PLAINTEXT_BYTES + 1])('refuses to wrap %i bytes', async (length) => {
      await expect(provider.wrap(Buffer.alloc(length, 1), context)).rejects.toThrow(KmsUsageError);
    });

    it('refuses a blob of another provider, mechanism, format or context without asking the KMS', async () => {
      const blob = await provider.wrap(secret, context);
      const before = kms.requests();
      const wrong: [Partial<Record<keyof WrappedBlob, unknown>>, typeof context][] = [
        [{ provider: provider.provider === 'KMIP' ? 'AWS' : 'KMIP' }, context],
        [{ mechanism: 'ROT13' }, context],
        [{ format: 2 }, context],
        [{ resolvedKeyId: '' }, context],
        [{ ciphertext: `${blob.ciphertext.slice(0, -5)}*****` }, context],
        [{ ciphertext: '' }, context],
        [{}, { ...context, projectId: '65f0c0ffee65f0c0ffee65f1' }],
        [{}, { ...context, purpose: 'snapshot-data-key' }],
      ];
      for (const [change, asked] of wrong) {
        await expect(provider.unwrap({ ...blob, ...change } as WrappedBlob, asked)).rejects.toThrow(WrappedBlobRefusedError);
      }
      expect(kms.requests()).toBe(before);
    });

    it('authenticates the context: a blob moved to another project does not unwrap although it claims to belong there', async () => {
      const blob = await provider.wrap(secret, context);
      for (const moved of [
        { ...context, projectId: '65f0c0ffee65f0c0ffee65f1' },
        { ...context, purpose: 'other' },
      ]) {
        expect(await reasonOf(provider.unwrap({ ...blob, context: moved }, moved))).toBe('definitive CANARY_NOT_UNWRAPPED');
      }
    });

    it('authenticates the ciphertext', async () => {
      const blob = await provider.wrap(secret, context);
      const bytes = Buffer.from(blob.ciphertext, 'base64');
      bytes.writeUInt8(bytes.readUInt8(bytes.length - 20) ^ 1, bytes.length - 20);
      expect(await reasonOf(provider.unwrap({ ...blob, ciphertext: bytes.toString('base64') }, context))).toBe(
        'definitive CANARY_NOT_UNWRAPPED',
      );
    });

    it.runIf(aliases)('unwraps with the key that wrapped after the alias was moved, and wraps with the new one', async () => {
      const aliased = kms.provider(key.alias!);
      const blob = await aliased.wrap(secret, context);
      expect(blob.keyId).toBe(key.alias);
      expect(blob.resolvedKeyId).not.toBe(key.alias);
      const other = await kms.createKey();
      await kms.pointAlias!(key.alias!, other.keyId);
      expect(Buffer.from(await aliased.unwrap(blob, context))).toEqual(secret);
      const later = await aliased.wrap(secret, context);
      expect(later.resolvedKeyId).not.toBe(blob.resolvedKeyId);
      // The blob decides which key is asked, not the configuration.
      expect(await reasonOf(aliased.unwrap({ ...blob, resolvedKeyId: later.resolvedKeyId }, context))).toBe(
        'definitive CANARY_NOT_UNWRAPPED',
      );
      aliased.close();
    });

    it.runIf(aliases)('notices that a key was deleted and re-created under its alias', async () => {
      const aliased = kms.provider(key.alias!);
      const proof = await proveKey(aliased, context);
      expect(proof.verdict).toMatchObject({ kind: 'usable' });
      await kms.destroy(key.keyId);
      const successor = await kms.createKey();
      await kms.pointAlias!(key.alias!, successor.keyId);
      expect(await checkCanary(aliased, proof.canary!, context)).toMatchObject({ kind: 'definitive', reason: 'KEY_NOT_FOUND' });
      expect((await proveKey(aliased, context)).verdict.kind).toBe('usable');
      aliased.close();
    });

    it('is disabled with its key', async () => {
      const { canary } = await proveKey(provider, context);
      expect(await checkCanary(provider, canary!, context)).toMatchObject({ kind: 'usable', reason: null });
      await kms.disable(key.keyId);
      const disabled = await checkCanary(provider, canary!, context);
      expect(disabled).toMatchObject({ kind: 'definitive', reason: 'KEY_DISABLED' });
      expect(disabled.errorName).toBeTruthy();
      expect(await proveKey(provider, context)).toMatchObject({ verdict: { reason: 'KEY_DISABLED' }, canary: null });
      expect((await provider.describe()).state).toBe('DISABLED');
    });

    it.runIf(enables)('is enabled again with its key', async () => {
      const { canary } = await proveKey(provider, context);
      await kms.disable(key.keyId);
      expect((await checkCanary(provider, canary!, context)).reason).toBe('KEY_DISABLED');
      await kms.enable!(key.keyId);
      expect((await checkCanary(provider, canary!, context)).kind).toBe('usable');
      expect((await provider.describe()).state).toBe('ENABLED');
    });

    it('unwraps with the key that the blob names, whatever key is configured', async () => {
      const blob = await provider.wrap(secret, context);
      const other = kms.provider((await kms.createKey()).keyId);
      expect(Buffer.from(await other.unwrap(blob, context))).toEqual(secret);
      other.close();
    });

    it('says that its key is gone once it was destroyed', async () => {
      const { canary } = await proveKey(provider, context);
      await kms.destroy(key.keyId);
      expect(await checkCanary(provider, canary!, context)).toMatchObject({ kind: 'definitive', reason: 'KEY_NOT_FOUND' });
    });

    it.runIf(waitingForDeletion !== null)('is gone while its key waits for deletion', async () => {
      const { canary } = await proveKey(provider, context);
      await kms.scheduleDeletion!(key.keyId);
      expect(await checkCanary(provider, canary!, context)).toMatchObject({ kind: 'definitive', reason: waitingForDeletion });
      expect((await provider.describe()).state).toBe('PENDING_DELETION');
    });

    it('F15 says CANARY_DIFFERS when other bytes come back than the canary remembers', async () => {
      const { canary } = await proveKey(provider, context);
      for (const sha256 of ['00'.repeat(32), 'not hexadecimal', '']) {
        expect(await checkCanary(provider, { ...canary!, sha256 }, context)).toMatchObject({
          kind: 'definitive',
          reason: 'CANARY_DIFFERS',
        });
      }
    });

    it('makes fresh providers of the same key that live on their own', async () => {
      const { canary } = await proveKey(provider, context);
      const fresh = provider.fresh();
      provider.close();
      expect(await checkCanary(fresh, canary!, context)).toMatchObject({ kind: 'usable' });
      expect(await reasonOf(provider.wrap(secret, context))).toBe('transient UNCLASSIFIED');
      fresh.close();
    });

    it('calls what it does not know transient', () => {
      for (const error of [new Error('surprise'), 'text', 42, null, undefined, { name: 'BrandNewException', message: 'x' }]) {
        expect(provider.verdict(error)).toMatchObject({ kind: 'transient', reason: 'UNCLASSIFIED' });
      }
    });
  });
}
