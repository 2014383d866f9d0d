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

/** A new client at most once in this time, so that an outage, or many keys failing at once, does not make us build clients all day. */
const MIN_AGE_MS = 10_000;

/**
 * The SDK's client, which keeps one connection and takes the credentials of each call beside the call: it may serve every key.
 * It is made at the first call: loading the SDK takes most of a second, a client some 100 ms, and not every process has a key in
 * Google Cloud.
 */
export class GcpConnections {
  private confirming: { readonly connections: GcpConnections; readonly since: number } | null = null;
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

  /**
   * A connection that is younger than this one, for confirmations: they are to ask another front end of the service, if there is one.
   * Those of the same seconds share it, for when many keys fail at once.
   */
  renewed(): GcpConnections {
    if (this.confirming === null || performance.now() - this.confirming.since >= MIN_AGE_MS) {
      this.confirming?.connections.close();
      this.confirming = { connections: new GcpConnections(this.endpoint), since: performance.now() };
    }
    return this.confirming.connections;
  }

  close(): void {
    const { current, confirming } = this;
    this.current = null;
    this.confirming = null;
    confirming?.connections.close();
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
        // Without calls for so long, a connection is closed; one that nobody uses any more does not stay open.
        'grpc.client_idle_timeout_ms': 300_000,
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
