import type { StatusName } from './rpc-failure.js';

/** What goes wrong with a request to the key management service. */
type RpcEffect =
  /** Any error answer, with the reason of an ErrorInfo where one is given. */
  | { readonly kind: 'error'; readonly status: StatusName; readonly message?: string; readonly reason?: string }
  /** The request is read and never answered. */
  | { readonly kind: 'hang' }
  /** Every connection to the server is reset when the request has been read. */
  | { readonly kind: 'reset' }
  /** Success with other bytes and a checksum that fits them. */
  | { readonly kind: 'wrong-plaintext' }
  /** Bytes that were damaged on the way: the checksum in the answer does not fit them. */
  | { readonly kind: 'damaged-answer' }
  /** Bytes of the request that were damaged on the way, so that the server refuses their checksum. */
  | { readonly kind: 'damaged-request' }
  /** The server has not seen the request's checksums. */
  | { readonly kind: 'unverified' };

/** What goes wrong at the token endpoint. */
type TokenEffect =
  | { readonly kind: 'token-error'; readonly status: number; readonly error?: string; readonly description?: string }
  | { readonly kind: 'token-hang' }
  /** HTTP 200 with a web page: a captive portal. */
  | { readonly kind: 'token-web-page' }
  /** The clocks of client and server differ by so much. */
  | { readonly kind: 'clock-skew'; readonly offsetMs: number };

/** Something that goes wrong, until cleared or for `count` requests. */
export type GoogleCloudFault = (RpcEffect | TokenEffect) & {
  /** Only these methods, e.g. `Decrypt`; all when left out. */
  readonly operations?: readonly string[];
  readonly count?: number;
};

type Kind = GoogleCloudFault['kind'];
const TOKEN_KINDS: readonly Kind[] = ['token-error', 'token-hang', 'token-web-page', 'clock-skew'];

/** The faults in force; a request meets at most one, the oldest that applies. */
export class GoogleCloudFaults {
  private active: { readonly fault: GoogleCloudFault; left: number }[] = [];

  inject(fault: GoogleCloudFault): void {
    this.active.push({ fault, left: fault.count ?? Number.POSITIVE_INFINITY });
  }

  clear(): void {
    this.active = [];
  }

  /** The fault that a request for this method meets (`token`: at the token endpoint); it is counted as used. */
  take(operation: string): GoogleCloudFault | null {
    const atTokens = operation === 'token';
    const entry = this.active.find(
      ({ fault }) =>
        TOKEN_KINDS.includes(fault.kind) === atTokens && (fault.operations === undefined || fault.operations.includes(operation)),
    );
    if (entry === undefined) return null;
    entry.left -= 1;
    this.active = this.active.filter(({ left }) => left > 0);
    return entry.fault;
  }
}
