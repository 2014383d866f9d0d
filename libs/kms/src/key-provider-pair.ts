import type { KeyProviderName, TransientReason } from '@atrest/contracts';
import type { KeyContext, KeyDescription, KeyProvider, WrappedBlob } from './key-provider.js';
import { withTransientRetries, type TransientRetryOptions } from './transient-retries.js';
import { usable, type TransientVerdict, type Verdict } from './verdict.js';

/**
 * Reasons that speak of the way to the KMS and not of the key. A wrong clock, a key store that its owner may have disconnected and words that nobody
 * knows may all be a revocation in disguise.
 */
const UNREACHABLE: ReadonlySet<TransientReason> = new Set<TransientReason>(['NETWORK', 'TIMEOUT', 'PROVIDER_ERROR', 'THROTTLED']);

/** Whether the KMS could not be asked, as opposed to an answer that may be about the key. */
export const isUnreachable = (reason: Verdict['reason']): boolean => UNREACHABLE.has(reason as TransientReason);

export interface KeyProviderPairOptions {
  /** How often the first is asked before it counts as unreachable; once when left out. */
  readonly retries?: TransientRetryOptions;
  /** Asked before the second key unwraps: false while anybody knows of a revocation of the first. */
  readonly mayStandIn?: () => boolean;
  /** The second key unwrapped, because the first could not be asked. */
  readonly onStandIn?: (first: TransientVerdict) => void;
  /** The second key did not wrap, so it will not unwrap what was wrapped now. */
  readonly onNotDoubled?: (second: Verdict) => void;
}

/** What a pair has learnt of its first key, shared with its fresh ones. */
interface Memory {
  revoked: boolean;
}

/**
 * Two customer keys, best in two regions or clouds, of which the second unwraps only while the first cannot be asked. Whatever the first says of itself
 * is final: after a definitive answer the second unwraps nothing more, also when the first is out of reach later, until the first was usable again.
 * So whoever takes the first key away takes everything away, and an outage of one KMS takes nothing.
 *
 * To the outside it is the first: its name, its descriptions, its verdicts.
 */
export class KeyProviderPair implements KeyProvider {
  readonly provider: KeyProviderName;

  constructor(
    private readonly first: KeyProvider,
    private readonly second: KeyProvider,
    private readonly options: KeyProviderPairOptions = {},
    private readonly memory: Memory = { revoked: false },
  ) {
    this.provider = first.provider;
  }

  /** Nothing is wrapped that the first key could not unwrap. What the second cannot wrap now is wrapped all the same, by the first alone. */
  async wrap(plaintext: Uint8Array, context: KeyContext): Promise<WrappedBlob> {
    const blob = await this.ofFirst(() => this.first.wrap(plaintext, context));
    try {
      return { ...blob, second: await this.second.wrap(plaintext, context) };
    } catch (error) {
      this.options.onNotDoubled?.(this.second.verdict(error));
      return blob;
    }
  }

  async unwrap(blob: WrappedBlob, context: KeyContext): Promise<Uint8Array> {
    try {
      return await this.ofFirst(() => this.first.unwrap(blob, context));
    } catch (error) {
      const verdict = this.first.verdict(error);
      if (
        blob.second === undefined ||
        verdict.kind !== 'transient' ||
        !isUnreachable(verdict.reason) ||
        this.memory.revoked ||
        this.options.mayStandIn?.() === false
      )
        throw error;
      // Why the second failed is of no use to who asked for the first.
      const unwrapped = await this.second.unwrap(blob.second, context).catch(() => null);
      if (unwrapped === null) throw error;
      this.options.onStandIn?.(verdict);
      return unwrapped;
    }
  }

  describe(): Promise<KeyDescription> {
    return this.first.describe();
  }

  verdict(error: unknown): Verdict {
    return this.first.verdict(error);
  }

  fresh(): KeyProviderPair {
    return new KeyProviderPair(this.first.fresh(), this.second.fresh(), this.options, this.memory);
  }

  close(): void {
    this.first.close();
    this.second.close();
  }

  /** Asks the first key and remembers what that says of it. */
  private async ofFirst<Value>(ask: () => Promise<Value>): Promise<Value> {
    type Asked = { readonly verdict: Verdict } & ({ readonly value: Value } | { readonly error: unknown });
    const once = (): Promise<Asked> =>
      ask().then(
        (value) => ({ verdict: usable(), value }),
        (error: unknown) => ({ verdict: this.first.verdict(error), error }),
      );
    const { retries } = this.options;
    const asked = retries === undefined ? await once() : await withTransientRetries(once, ({ verdict }) => verdict, retries);
    if (asked.verdict.kind !== 'transient') this.memory.revoked = asked.verdict.kind === 'definitive';
    if ('error' in asked) throw asked.error;
    return asked.value;
  }
}
