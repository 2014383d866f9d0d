import type { KeyProvider } from '@atrest/kms';

/** Makes a client for a key and its credentials. */
export type ProviderSource = () => KeyProvider;

interface Entry {
  readonly provider: KeyProvider;
  readonly revision: number;
}

/**
 * One client per configuration, so that checks reuse connections. A revision that differs, or the wish for a fresh one, replaces it.
 * The least recently used is closed when there are too many.
 */
export class ProviderCache {
  private readonly entries = new Map<string, Entry>();

  /** `limit`: clients kept; each holds one idle connection, 5,000 of which a process can well afford. */
  constructor(private readonly limit = 5_000) {}

  get(configurationId: string, revision: number, fresh: boolean, source: ProviderSource): KeyProvider {
    const known = this.entries.get(configurationId);
    if (known && known.revision === revision && !fresh) {
      this.entries.delete(configurationId);
      this.entries.set(configurationId, known);
      return known.provider;
    }
    this.drop(configurationId);
    const provider = source();
    this.entries.set(configurationId, { provider, revision });
    const [oldest] = this.entries.keys();
    if (this.entries.size > this.limit && oldest !== undefined) this.drop(oldest);
    return provider;
  }

  /** Closes the client of a configuration: it hangs, or the configuration is gone. */
  drop(configurationId: string): void {
    this.entries.get(configurationId)?.provider.close();
    this.entries.delete(configurationId);
  }

  close(): void {
    for (const { provider } of this.entries.values()) provider.close();
    this.entries.clear();
  }
}
