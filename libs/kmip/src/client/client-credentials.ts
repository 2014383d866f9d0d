import { X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';
import { KmipConnectionError, type KmipHost } from './errors.js';

/** How the two sides of a connection know each other. */
export interface KmipTlsOptions {
  /** PEM: who may have signed the server's certificate. The machine's own certificate authorities do not count. */
  readonly ca: string;
  /** PEM: our certificate, followed by its chain. May hold the private key too, as MongoDB's `--kmipClientCertificateFile`. */
  readonly certificate: string;
  /** PEM: the private key, where `certificate` does not hold it. */
  readonly key?: string;
}

/** The end of a PEM certificate's validity; null when it cannot be read. */
export function certificateEnd(pem: string): Date | null {
  try {
    return new Date(new X509Certificate(pem).validTo);
  } catch {
    return null;
  }
}

/** Our side of TLS, checked before anything is sent: servers answer a bad certificate in ways that cannot be told from a crash. */
export class ClientCredentials {
  private context: SecureContext | null = null;
  private readonly end: Date | null;

  constructor(
    private readonly options: KmipTlsOptions,
    private readonly now: () => Date,
  ) {
    this.end = certificateEnd(options.certificate);
  }

  secureContextFor(host: KmipHost): SecureContext {
    const details = { host, phase: 'prepare' } as const;
    if (this.end !== null && this.end.getTime() <= this.now().getTime()) {
      const what = `our client certificate expired on ${this.end.toISOString()}`;
      throw new KmipConnectionError('KMIP.CLIENT_CERTIFICATE_EXPIRED', what, details);
    }
    const { ca, certificate, key = certificate } = this.options;
    try {
      this.context ??= createSecureContext({ ca, cert: certificate, key, minVersion: 'TLSv1.2' });
    } catch (error) {
      const systemCode = (error as { code?: unknown }).code;
      // Not as cause: what OpenSSL says of a private key is nobody's business.
      throw new KmipConnectionError('KMIP.CLIENT_CERTIFICATE_UNREADABLE', 'our client certificate and its key cannot be used', {
        ...details,
        ...(typeof systemCode === 'string' && { systemCode }),
      });
    }
    return this.context;
  }
}
