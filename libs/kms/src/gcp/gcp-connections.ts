import type { KeyManagementServiceClient } from '@google-cloud/kms';

/** Another place than Google's. */
export interface GcpEndpoint {
  readonly host: string;
  readonly port: number;
  /** PEM; the system's when left out. */
  readonly rootCertificates?: string;
  /** Replaces scheme, host and port of the token endpoints. */
  readonly tokenOrigin?: string;
}

/** A connection is given up for a new one at most once in this time, so that an outage does not make us build clients all day. */
const MIN_AGE_MS = 10_000;

/**
 * The SDK's client, which keeps one connection and takes the credentials of each call beside the call: it may serve every key.
 * It is made at the first call: loading the SDK takes most of a second, a client some 100 ms, and not every process has a key in
 * Google Cloud.
 */
export class GcpConnections {
  private current: { readonly client: Promise<KeyManagementServiceClient>; readonly since: number } | null = null;

  constructor(readonly endpoint?: GcpEndpoint) {}

  client(): Promise<KeyManagementServiceClient> {
    this.current ??= { client: this.open(), since: performance.now() };
    return this.current.client;
  }

  /**
   * To be told of every call that got no answer in time. A connection that is open on our side only (a router forgot it) would fail
   * for many minutes; the next call opens a new one, calls under way on the old one go on.
   */
  noAnswer(): void {
    if (this.current !== null && performance.now() - this.current.since >= MIN_AGE_MS) this.close();
  }

  close(): void {
    const { current } = this;
    this.current = null;
    current?.client.then(
      (client) => client.close(),
      // The call that wanted the connection has got the error.
      () => undefined,
    );
  }

  private async open(): Promise<KeyManagementServiceClient> {
    try {
      const [{ KeyManagementServiceClient: Client }, { googleAuthLibrary, grpc }] = await Promise.all([
        import('@google-cloud/kms'),
        import('google-gax'),
      ]);
      const roots = this.endpoint?.rootCertificates;
      const client = new Client({
        // All of these are always given: the SDK would otherwise look for credentials, universe and certificates by itself, in the
        // environment, in the home directory and at the metadata service of the machine, and raise what fails there as an unhandled
        // rejection, which ends the process.
        apiEndpoint: this.endpoint?.host ?? 'cloudkms.googleapis.com',
        port: this.endpoint?.port ?? 443,
        universeDomain: 'googleapis.com',
        authClient: new googleAuthLibrary.PassThroughClient(),
        sslCreds: grpc.credentials.createSsl(roots === undefined ? null : Buffer.from(roots)),
        // A refused connection is tried again after a pause that grows up to this; 120 s by default.
        'grpc.max_reconnect_backoff_ms': 2_000,
        // Two clients are two connections.
        'grpc.use_local_subchannel_pool': 1,
      });
      // Whatever fails here would be an unhandled rejection in the client's methods.
      await client.initialize();
      return client;
    } catch (error) {
      this.current = null;
      throw error;
    }
  }
}
