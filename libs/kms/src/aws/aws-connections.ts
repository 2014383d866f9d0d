import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { KMSClient, type KMSClientConfig } from '@aws-sdk/client-kms';
import type { STSClientConfig } from '@aws-sdk/client-sts';
import type { AwsCredentials } from './aws-assumed-role.js';

/** Bounds of one request and of all connections. */
export interface AwsConnectionLimits {
  /** 5 s: far above AWS's usual tens of milliseconds, and two tries fit into a check of 30 s. The SDK's own default is none. */
  readonly connectionTimeoutMs?: number;
  /** Until the answer begins, and again for each silence within it. 5 s. */
  readonly requestTimeoutMs?: number;
  /** Connections that are opened to one address at the same time. */
  readonly maxSockets?: number;
}

/** What the KMS and the STS client are both given. */
type CommonConfig = Pick<KMSClientConfig & STSClientConfig, keyof KMSClientConfig & keyof STSClientConfig>;

const silent = (): void => undefined;

/**
 * Connections to AWS. Credentials are in the signature of each request and not in the connection, so these may serve every key: with 100,000 keys
 * of as many accounts, each check would otherwise begin with a handshake. What the SDK needs per key is then only its configuration, which is cheap.
 */
export class AwsConnections {
  readonly connectionTimeoutMs: number;
  readonly requestTimeoutMs: number;
  /** Milliseconds that AWS's clock is ahead of ours, as the SDK found out: what one client learns is true for the next. */
  clockOffsetMs = 0;
  private readonly agents: readonly [HttpAgent, HttpsAgent];
  private handler: KMSClientConfig['requestHandler'];

  constructor({ connectionTimeoutMs = 5_000, requestTimeoutMs = 5_000, maxSockets = 10 }: AwsConnectionLimits = {}) {
    this.connectionTimeoutMs = connectionTimeoutMs;
    this.requestTimeoutMs = requestTimeoutMs;
    const options = { keepAlive: true, maxSockets };
    this.agents = [new HttpAgent(options), new HttpsAgent(options)];
  }

  /** A client for these credentials. It is not to be destroyed: that would close the connections of all. */
  kms(o: { readonly awsRegion: string; readonly endpoint: string; readonly credentials: AwsCredentials }): KMSClient {
    const client = new KMSClient({ ...this.configuration(o.awsRegion), endpoint: o.endpoint, credentials: o.credentials });
    this.handler ??= client.config.requestHandler;
    return client;
  }

  /** To be told of every call that got no answer in time: idle connections may be open on our side only, and the next calls would wait for them. */
  noAnswer(): void {
    for (const agent of this.agents) {
      for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
    }
  }

  /** Calls in flight fail. */
  close(): void {
    for (const agent of this.agents) agent.destroy();
  }

  /** Everything that the SDK would otherwise look for in the environment and the configuration files of the machine, for each client again. */
  configuration(awsRegion: string): CommonConfig {
    const [httpAgent, httpsAgent] = this.agents;
    return {
      region: awsRegion,
      // `withTransientRetries` retries; two loops inside each other would take minutes against a dead endpoint.
      maxAttempts: 1,
      retryMode: 'standard',
      defaultsMode: 'standard',
      useDualstackEndpoint: false,
      useFipsEndpoint: false,
      userAgentAppId: () => Promise.resolve(undefined),
      authSchemePreference: () => Promise.resolve([]),
      // Nobody changes the steps of a request, so they are put in order once and not for each call: a sixth of what a call costs.
      cacheMiddleware: true,
      systemClockOffset: this.clockOffsetMs,
      requestHandler: this.handler ?? {
        connectionTimeout: this.connectionTimeoutMs,
        requestTimeout: this.requestTimeoutMs,
        socketTimeout: this.requestTimeoutMs,
        throwOnRequestTimeout: true,
        httpAgent,
        httpsAgent,
        logger: { debug: silent, info: silent, warn: silent, error: silent },
      },
    };
  }
}
