import type { KeyProvider } from '@atrest/kms';

/** Makes a client for a key and its credentials. */
export type ProviderSource = () => KeyProvider;

/**
 * One client per checked key, so that checks reuse connections; the wish for a fresh one replaces it. The least recently used is closed when there are
 * too many.
 */
export class ProviderCache {
  private readonly entries = new Map<string, KeyProvider>();

  /** `limit`: clients kept, 25 KiB each; those of a provider that needs a connection or a token for each key hold that, too. */
  constructor(private readonly limit = 5_000) {}

  get(checkedKeyId: string, fresh: boolean, source: ProviderSource): KeyProvider {
    const known = this.entries.get(checkedKeyId);
    if (known && !fresh) {
      this.entries.delete(checkedKeyId);
      this.entries.set(checkedKeyId, known);
      return known;
    }
    this.drop(checkedKeyId);
    const provider = fresh ? freshOf(source()) : source();
    this.entries.set(checkedKeyId, provider);
    const [oldest] = this.entries.keys();
    if (this.entries.size > this.limit && oldest !== undefined) this.drop(oldest);
    return provider;
  }

  /** Closes the client of a key: it hangs, or nobody uses the key any more. */
  drop(checkedKeyId: string): void {
    this.entries.get(checkedKeyId)?.close();
    this.entries.delete(checkedKeyId);
  }

  close(): void {
    for (const provider of this.entries.values()) provider.close();
    this.entries.clear();
  }
}

/** Connections are shared by many clients; a fresh one of its own is what `fresh` makes. */
function freshOf(provider: KeyProvider): KeyProvider {
  const fresh = provider.fresh();
  provider.close();
  return fresh;
}
