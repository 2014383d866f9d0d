// Excluded from the package like every *.contract.ts: for the suites of this library only.
import type { KeyContext, KeyDescription, KeyProvider, Verdict, WrappedBlob } from '@atrest/kms';

/**
 * A client whose way to the KMS can change while it is in use, as the network's may, and whose unwrapping can be held up. Everything is
 * passed on to a real client.
 */
export class RoutedProvider implements KeyProvider {
  readonly provider = 'AWS';
  private real: { readonly route: string; readonly client: KeyProvider } | undefined;

  constructor(
    private readonly route: () => string,
    private readonly connect: (route: string) => KeyProvider,
    private readonly beforeUnwrap: () => Promise<void>,
  ) {}

  private client(): KeyProvider {
    const route = this.route();
    if (this.real?.route !== route) {
      this.real?.client.close();
      this.real = { route, client: this.connect(route) };
    }
    return this.real.client;
  }

  wrap(plaintext: Uint8Array, context: KeyContext): Promise<WrappedBlob> {
    return this.client().wrap(plaintext, context);
  }

  async unwrap(blob: WrappedBlob, context: KeyContext): Promise<Uint8Array> {
    await this.beforeUnwrap();
    return this.client().unwrap(blob, context);
  }

  describe(): Promise<KeyDescription> {
    return this.client().describe();
  }

  verdict(error: unknown): Verdict {
    return this.client().verdict(error);
  }

  fresh(): KeyProvider {
    return new RoutedProvider(this.route, this.connect, this.beforeUnwrap);
  }

  close(): void {
    this.real?.client.close();
  }
}
