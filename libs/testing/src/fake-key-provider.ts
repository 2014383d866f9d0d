import { createCipheriv, createDecipheriv, randomBytes, randomUUID } from 'node:crypto';
import type { DefinitiveReason, KeyProviderName, TransientReason } from '@atrest/contracts';
import {
  assertWrappable,
  ciphertextFor,
  definitive,
  KmsUsageError,
  transient,
  type KeyContext,
  type KeyDescription,
  type KeyProvider,
  type KeyState,
  type Verdict,
  type WrappedBlob,
} from '@atrest/kms';

/** An error of the fake: it says itself what it means. */
export class FakeKmsError extends Error {
  constructor(
    override readonly name: string,
    readonly meaning: DefinitiveReason | TransientReason,
    readonly kind: 'definitive' | 'transient',
  ) {
    super(`${name}: ${meaning}`);
  }
}

const MECHANISM = 'FAKE:AES-256-GCM';

interface FakeKey {
  readonly id: string;
  readonly material: Buffer;
  state: KeyState;
}

/** Keys in memory that several `FakeKeyProvider`s may share. */
export class FakeKms {
  private readonly keys = new Map<string, FakeKey>();
  private readonly aliases = new Map<string, string>();
  private failures: { error: FakeKmsError; left: number }[] = [];
  /** Every operation asked for, oldest first. */
  readonly calls: { operation: 'wrap' | 'unwrap' | 'describe'; keyId: string; context: KeyContext | null }[] = [];

  /** A new key; with an alias that names it. */
  createKey(alias?: string): string {
    const id = randomUUID();
    this.keys.set(id, { id, material: randomBytes(32), state: 'ENABLED' });
    if (alias !== undefined) this.aliases.set(alias, id);
    return id;
  }

  moveAlias(alias: string, keyId: string): void {
    this.aliases.set(alias, keyId);
  }

  setState(keyId: string, state: KeyState): void {
    this.key(keyId).state = state;
  }

  destroyKey(keyId: string): void {
    this.keys.delete(keyId);
  }

  /** The next `count` calls fail with this meaning. */
  fail(error: FakeKmsError, count = Number.POSITIVE_INFINITY): void {
    this.failures.push({ error, left: count });
  }

  recover(): void {
    this.failures = [];
  }

  /** @internal */
  record(operation: 'wrap' | 'unwrap' | 'describe', keyId: string, context: KeyContext | null): void {
    this.calls.push({ operation, keyId, context });
    const failure = this.failures[0];
    if (failure === undefined) return;
    failure.left -= 1;
    if (failure.left <= 0) this.failures.shift();
    throw failure.error;
  }

  /** @internal */
  key(reference: string): FakeKey {
    const key = this.keys.get(this.aliases.get(reference) ?? reference);
    if (key === undefined) throw new FakeKmsError('FakeNotFound', 'KEY_NOT_FOUND', 'definitive');
    return key;
  }

  /** @internal */
  enabledKey(reference: string): FakeKey {
    const key = this.key(reference);
    if (key.state === 'DISABLED') throw new FakeKmsError('FakeDisabled', 'KEY_DISABLED', 'definitive');
    if (key.state === 'PENDING_DELETION') throw new FakeKmsError('FakePendingDeletion', 'KEY_PENDING_DELETION', 'definitive');
    if (key.state !== 'ENABLED') throw new FakeKmsError('FakeUnavailable', 'KEY_UNAVAILABLE', 'transient');
    return key;
  }
}

/** A `KeyProvider` without any network: real AES-256-GCM, real key states, the same contract suite as the adapters. */
export class FakeKeyProvider implements KeyProvider {
  private closed = false;

  constructor(
    private readonly kms: FakeKms,
    private readonly keyId: string,
    readonly provider: KeyProviderName = 'AWS',
  ) {}

  async wrap(plaintext: Uint8Array, context: KeyContext): Promise<WrappedBlob> {
    assertWrappable(plaintext, context);
    this.record('wrap', this.keyId, context);
    const key = this.kms.enabledKey(this.keyId);
    const nonce = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', key.material, nonce).setAAD(bytesOf(context));
    const ciphertext = Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
    return {
      format: 1,
      provider: this.provider,
      keyId: this.keyId,
      resolvedKeyId: key.id,
      keyVersion: null,
      mechanism: MECHANISM,
      context: { projectId: context.projectId, purpose: context.purpose },
      ciphertext: ciphertext.toString('base64'),
    };
  }

  async unwrap(blob: WrappedBlob, context: KeyContext): Promise<Uint8Array> {
    const bytes = ciphertextFor(blob, { provider: this.provider, mechanism: MECHANISM, context });
    this.record('unwrap', blob.resolvedKeyId, context);
    const key = this.kms.enabledKey(blob.resolvedKeyId);
    try {
      const decipher = createDecipheriv('aes-256-gcm', key.material, bytes.subarray(0, 12), { authTagLength: 16 })
        .setAAD(bytesOf(context))
        .setAuthTag(bytes.subarray(-16));
      return Buffer.concat([decipher.update(bytes.subarray(12, -16)), decipher.final()]);
    } catch {
      throw new FakeKmsError('FakeInvalidCiphertext', 'CANARY_NOT_UNWRAPPED', 'definitive');
    }
  }

  async describe(): Promise<KeyDescription> {
    this.record('describe', this.keyId, null);
    const { id, state } = this.kms.key(this.keyId);
    return {
      keyId: this.keyId,
      resolvedKeyId: id,
      keyVersion: null,
      state,
      usage: null,
      algorithm: 'AES-256-GCM',
      createdAt: null,
      deletionDate: null,
    };
  }

  verdict(error: unknown): Verdict {
    if (!(error instanceof FakeKmsError)) {
      const name = error instanceof Error ? error.name : typeof error;
      return transient('UNCLASSIFIED', { errorName: name, message: error instanceof Error ? error.message : '' });
    }
    const evidence = { errorName: error.name, message: error.message };
    return error.kind === 'definitive'
      ? definitive(error.meaning as DefinitiveReason, evidence)
      : transient(error.meaning as TransientReason, evidence);
  }

  fresh(): FakeKeyProvider {
    return new FakeKeyProvider(this.kms, this.keyId, this.provider);
  }

  close(): void {
    this.closed = true;
  }

  private record(operation: 'wrap' | 'unwrap' | 'describe', keyId: string, context: KeyContext | null): void {
    if (this.closed) throw new KmsUsageError('This key provider was closed.');
    this.kms.record(operation, keyId, context);
  }
}

const bytesOf = (context: KeyContext): Buffer => Buffer.from(JSON.stringify([context.projectId, context.purpose]), 'utf8');
