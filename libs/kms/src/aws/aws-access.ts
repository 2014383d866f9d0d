import type { KMSClient } from '@aws-sdk/client-kms';
import type { STSClient } from '@aws-sdk/client-sts';
import type { CallLimiters } from '../call-limiter.js';
import { KmsUsageError } from '../errors.js';
import { assumeAwsRole, requireAwsRole, type AwsCredentials, type AwsRole } from './aws-assumed-role.js';
import type { AwsConnections } from './aws-connections.js';
import { awsPartitionOf } from './aws-regions.js';

/** How clients for one key are made. */
export interface AwsAccessOptions {
  /** AWS's own name. */
  readonly awsRegion: string;
  readonly identity: AwsCredentials | { readonly role: AwsRole };
  /** What roles are assumed with. */
  readonly installation?: AwsCredentials | (() => Promise<AwsCredentials>);
  readonly endpoint?: string;
  readonly stsEndpoint?: string;
  readonly stsLimiters?: CallLimiters;
  readonly connections: AwsConnections;
  /** Measures one request to STS. */
  readonly measure: <Result>(run: () => Promise<Result>) => Promise<Result>;
}

/** A session is renewed so long before it ends: longer than a check takes, and than clocks usually differ. */
const RENEW_BEFORE_MS = 60_000;

/** Clients of AWS KMS for one key: with static credentials one for ever, with an assumed role one for each session. */
export class AwsAccess {
  private readonly client: KMSClient | null;
  private sts: STSClient | null = null;
  private session: { readonly client: KMSClient; readonly renewAtMs: number } | null = null;
  private assuming: Promise<KMSClient> | null = null;

  constructor(private readonly options: AwsAccessOptions) {
    const { identity, installation, awsRegion } = options;
    if ('role' in identity) {
      requireAwsRole(identity.role, awsRegion);
      if (installation === undefined)
        throw new KmsUsageError('This installation has no credentials of its own in AWS to assume a role with.');
      this.client = null;
    } else {
      this.client = this.kms(identity);
    }
  }

  /** Whether the credentials can end by themselves and be renewed. */
  get renewable(): boolean {
    return this.client === null;
  }

  /** A client whose credentials are valid for now, and whether it was given out before. */
  async get(abortSignal: AbortSignal): Promise<{ readonly client: KMSClient; readonly reused: boolean }> {
    if (this.client !== null) return { client: this.client, reused: true };
    if (this.session !== null && Date.now() < this.session.renewAtMs) return { client: this.session.client, reused: true };
    this.assuming ??= this.assume(abortSignal).finally(() => {
      this.assuming = null;
    });
    return { client: await this.assuming, reused: false };
  }

  /** The next client has a new session. */
  renew(): void {
    this.session = null;
  }

  /** The connections stay: they are their owner's. */
  close(): void {
    this.session = null;
  }

  private async assume(abortSignal: AbortSignal): Promise<KMSClient> {
    const { identity, stsLimiters, awsRegion, measure } = this.options;
    if (!('role' in identity)) throw new TypeError('only roles are assumed');
    await stsLimiters?.acquire('installation', awsRegion);
    const sts = (this.sts ??= await stsClientFor(this.options));
    const session = await measure(() => assumeAwsRole(sts, identity.role, abortSignal));
    const client = this.kms(session);
    this.session = { client, renewAtMs: session.expiresAt.getTime() - RENEW_BEFORE_MS };
    return client;
  }

  private kms(credentials: AwsCredentials): KMSClient {
    const { connections, endpoint, awsRegion } = this.options;
    return connections.kms({ awsRegion, endpoint: endpoint ?? addressOf('kms', awsRegion), credentials: identityOf(credentials) });
  }
}

/** A client of AWS STS that is this installation. It is not to be destroyed: that would close the connections of all. @throws KmsUsageError */
export async function stsClientFor({
  connections,
  stsEndpoint,
  awsRegion,
  installation,
}: Pick<AwsAccessOptions, 'connections' | 'stsEndpoint' | 'awsRegion' | 'installation'>): Promise<STSClient> {
  if (installation === undefined) throw new KmsUsageError('This installation has no credentials of its own in AWS to assume a role with.');
  const { STSClient: Client } = await import('@aws-sdk/client-sts');
  return new Client({
    ...connections.configuration(awsRegion),
    // The region's own endpoint: the global one is in another region, and the other partitions have none.
    endpoint: stsEndpoint ?? addressOf('sts', awsRegion),
    credentials: typeof installation === 'function' ? async () => identityOf(await installation()) : identityOf(installation),
  });
}

/** Always given: the SDK would otherwise take AWS_ENDPOINT_URL and the shared configuration file of the machine. */
const addressOf = (service: 'kms' | 'sts', awsRegion: string): string =>
  `https://${service}.${awsRegion}.${awsPartitionOf(awsRegion) === 'aws-cn' ? 'amazonaws.com.cn' : 'amazonaws.com'}`;

const identityOf = ({ accessKeyId, secretAccessKey, sessionToken }: AwsCredentials): AwsCredentials => ({
  accessKeyId,
  secretAccessKey,
  ...(sessionToken !== undefined && { sessionToken }),
});
