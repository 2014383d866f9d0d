import type { KeyProviderName } from '@atrest/contracts';
import type { Verdict } from './verdict.js';

/**
 * What a wrapped secret belongs to. It is authenticated by the provider: a blob that was wrapped for one project or purpose
 * cannot be unwrapped for another, even by somebody who can move rows between tables.
 */
export interface KeyContext {
  readonly projectId: string;
  /** What the secret is for, e.g. `canary`, `snapshot-data-key`. Shown in the provider's audit log. */
  readonly purpose: string;
}

/** A secret wrapped by a customer key. Serialisable: JSON in, the same JSON out. */
export interface WrappedBlob {
  readonly format: 1;
  readonly provider: KeyProviderName;
  /** The key as it was configured when the blob was made: an id, an ARN, an alias. */
  readonly keyId: string;
  /** The key that was really used, as the provider names it (AWS: key ARN). Unwrapping asks for exactly this one, never for an alias. */
  readonly resolvedKeyId: string;
  /** The version that was used, where the provider has versions that a caller must name (Azure, GCP); null otherwise. */
  readonly keyVersion: string | null;
  /** How it was wrapped; an adapter unwraps only what it knows. */
  readonly mechanism: string;
  readonly context: KeyContext;
  /** Base64. */
  readonly ciphertext: string;
  /** The same secret under the second key of a `KeyProviderPair`, where that could wrap it; adapters know nothing of it. */
  readonly second?: WrappedBlob;
}

/** State of a customer key as its provider shows it, in one vocabulary for all providers. */
export type KeyState =
  | 'ENABLED'
  | 'DISABLED'
  | 'PENDING_DELETION'
  | 'PENDING_IMPORT'
  | 'UNAVAILABLE'
  | 'CREATING'
  | 'EXPIRED'
  | 'DESTROYED'
  | 'NOT_YET_ACTIVE'
  | 'UNKNOWN';

/** How the provider renews the key by itself, where it does and tells. */
export interface KeyRotation {
  readonly automatic: boolean;
  /** Days between rotations; null when it does not rotate by itself or does not tell. */
  readonly periodDays: number | null;
  readonly nextRotationAt: Date | null;
}

/** For messages and diagnosis only: it proves neither that the key wraps nor that it unwraps. */
export interface KeyDescription {
  readonly keyId: string;
  readonly resolvedKeyId: string;
  readonly keyVersion: string | null;
  readonly state: KeyState;
  /** What the provider allows the key to be used for, in the provider's words (AWS: `ENCRYPT_DECRYPT`). */
  readonly usage: string | null;
  /** The provider's words for algorithm and length (AWS: `SYMMETRIC_DEFAULT`). */
  readonly algorithm: string | null;
  readonly createdAt: Date | null;
  readonly deletionDate: Date | null;
  /** When the key stops wrapping (Azure: `exp`); left out where the provider has no such date. */
  readonly expiresAt?: Date | null;
  /** The provider's words for what happens to a deleted key (Azure: `Recoverable+Purgeable`); left out where there are none. */
  readonly recoveryLevel?: string | null;
  /** Left out when the provider was not asked or did not tell, e.g. for lack of a permission. */
  readonly rotation?: KeyRotation;
}

/**
 * The most that can be wrapped at once, in bytes: two 256-bit keys. Wrapping is for keys, never for data; the smallest limit of
 * all providers (RSA-OAEP-256 under a 2048-bit key) is 190 bytes.
 */
export const MAX_PLAINTEXT_BYTES = 64;

/**
 * A customer key in one provider, with the credentials to use it. An adapter that cannot authenticate the context must refuse to
 * wrap; it may never drop it. Methods reject with the provider's own error: `verdict` says what such an error means.
 */
export interface KeyProvider {
  readonly provider: KeyProviderName;
  /** Wraps 1 to `MAX_PLAINTEXT_BYTES` bytes with the configured key. */
  wrap(plaintext: Uint8Array, context: KeyContext): Promise<WrappedBlob>;
  /**
   * Unwraps with the key that the blob names, whatever the configured key is by now.
   * Rejects with `WrappedBlobRefusedError` before any request when provider, mechanism or context differ.
   */
  unwrap(blob: WrappedBlob, context: KeyContext): Promise<Uint8Array>;
  /** Asks for the key's state; may need a permission of its own, so a refusal here says nothing about the key. */
  describe(): Promise<KeyDescription>;
  /** What an error of this provider means. Pure; anything unknown is `transient UNCLASSIFIED`. */
  verdict(error: unknown): Verdict;
  /** The same key and credentials on a new client, for confirmations: cached tokens and connections hide revocations. The caller closes both. */
  fresh(): KeyProvider;
  /** Drops connections. Calls in flight fail. */
  close(): void;
}
