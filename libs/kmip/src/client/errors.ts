import { nameOf, ResultReason } from '../vocabulary/enumerations.js';
import type { AnyOperationName } from '../vocabulary/operations.js';
import type { FailureItem } from '../messages/response-message.js';

/** One server of the list. */
export interface KmipHost {
  /** Name or address; the server's certificate must be for it. */
  readonly host: string;
  readonly port: number;
}

export const hostText = ({ host, port }: KmipHost): string => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`);

export type KmipConnectionErrorCode =
  /** No TCP connection: refused, unreachable, or the name is unknown. */
  | 'KMIP.CONNECT_FAILED'
  /** The addresses of the name are not allowed to be asked. */
  | 'KMIP.ADDRESS_NOT_ALLOWED'
  /** TLS failed: one side did not accept the other's certificate, or they have no cipher in common. `systemCode` says which. */
  | 'KMIP.TLS_FAILED'
  /** Not in time; `phase` says what. */
  | 'KMIP.TIMEOUT'
  /** The server ended the connection instead of answering. */
  | 'KMIP.CLOSED'
  /** Our own certificate is past its end; nothing was sent. */
  | 'KMIP.CLIENT_CERTIFICATE_EXPIRED'
  /** Our own certificate or key cannot be read, or they do not belong together; nothing was sent. */
  | 'KMIP.CLIENT_CERTIFICATE_UNREADABLE';

/** `connect` is name resolution and TCP, `handshake` TLS, `answer` from the first byte of the question to the last of the answer. */
export type ConnectionPhase = 'prepare' | 'connect' | 'handshake' | 'answer';

/** No answer came from a server. */
export class KmipConnectionError extends Error {
  constructor(
    readonly code: KmipConnectionErrorCode,
    what: string,
    readonly details: {
      readonly host: KmipHost;
      readonly phase: ConnectionPhase;
      /** Node's or OpenSSL's code, e.g. ECONNREFUSED, CERT_HAS_EXPIRED, ERR_SSL_WRONG_VERSION_NUMBER. */
      readonly systemCode?: string;
      /** Number of the TLS alert with which the server ended the handshake. The codes that OpenSSL makes of it differ between its versions. */
      readonly alert?: number;
      /** Bytes of the answer that came before the end. */
      readonly receivedBytes?: number;
    },
    options?: ErrorOptions,
  ) {
    super(`${hostText(details.host)}: ${what}`, options);
    this.name = 'KmipConnectionError';
  }

  /** Whether the server may have carried out what was asked. */
  get mayHaveActed(): boolean {
    return this.details.phase === 'answer';
  }
}

/** The server answered that it did not do what was asked. */
export class KmipOperationError extends Error {
  readonly code = 'KMIP.OPERATION_FAILED';

  constructor(
    readonly operation: AnyOperationName,
    readonly host: KmipHost,
    readonly status: FailureItem['status'],
    /** A `ResultReason`; null when the server gave none. */
    readonly reason: number | null,
    /** The server's own words. */
    readonly serverMessage: string | null,
  ) {
    super(
      `${hostText(host)}: ${operation}: ${status}${reason === null ? '' : `, ${nameOf(ResultReason, reason)}`}${serverMessage === null ? '' : `: ${serverMessage}`}`,
    );
    this.name = 'KmipOperationError';
  }

  /** `ItemNotFound`, or the number where it has no name. */
  get reasonName(): string | null {
    return this.reason === null ? null : nameOf(ResultReason, this.reason);
  }
}

/** Client and server have no version in common, or none that has the operation. */
export class KmipVersionError extends Error {
  readonly code = 'KMIP.NO_COMMON_VERSION';

  constructor(readonly host: KmipHost) {
    super(`${hostText(host)}: speaks no version of KMIP that has what is needed`);
    this.name = 'KmipVersionError';
  }
}

/** No server of the list answered; why is in `errors`, in the order in which they were tried. */
export class KmipHostsError extends Error {
  readonly code = 'KMIP.NO_HOST';

  constructor(readonly errors: readonly Error[]) {
    super(`None of ${errors.length} KMIP servers answered: ${errors.map(({ message }) => message).join('; ')}`);
    this.name = 'KmipHostsError';
  }
}

/** The client was closed. */
export class KmipClosedError extends Error {
  readonly code = 'KMIP.CLIENT_CLOSED';

  constructor() {
    super('This KMIP client was closed.');
    this.name = 'KmipClosedError';
  }
}
