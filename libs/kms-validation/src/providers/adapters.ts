import {
  AwsConnections,
  AwsKeyProvider,
  awsRequestQuotaOf,
  awsRoleSession,
  awsStsRequestQuotaOf,
  AzureKeyProvider,
  azureRequestQuotaOf,
  CallLimiters,
  GcpConnections,
  GcpKeyProvider,
  gcpRequestQuotaOf,
  KmipKeyProvider,
  kmipRequestQuotaOf,
  KmsError,
  KmsUsageError,
  sleepFor,
  usable,
  type AwsKeyProviderOptions,
  type AzureEnvironment,
  type AzureKeyProviderOptions,
  type GcpKeyProviderOptions,
  type KmipKeyProviderOptions,
} from '@atrest/kms';
import type { Metrics } from '@atrest/platform-metrics';
import type { Clock } from '@atrest/platform-time';
import type { AwsRoleProof } from '../access-roles/cloud-provider-access.js';
import type { RoleSessions } from '../key-access/access-for-agent.js';
import type { KeyReference, ProviderFactories } from '../key-access.js';
import { atlasRegionOf } from './aws-settings.js';
import { kmipHosts, kmipPort, mayBeAnAppliance } from './kmip-settings.js';
import { textOf } from './provider-binding.js';

/** What the operator decides about the adapters. A project never can: it would make us talk to any address of our network. */
export interface AdapterSettings {
  /** Where AWS KMS is reached, instead of AWS's own addresses: a private endpoint, or the development KMS. */
  readonly awsEndpoint?: string;
  /** Where AWS STS is reached, and what roles are assumed with. */
  readonly aws?: Pick<AwsKeyProviderOptions, 'stsEndpoint' | 'installation'>;
  readonly azure?: Pick<AzureKeyProviderOptions, 'federatedTokenFile' | 'development'>;
  readonly gcp?: Pick<GcpKeyProviderOptions, 'endpoint' | 'subjectTokens'> & {
    /** The JSON document of the service account that this installation is, for projects that use a role in place of a key of their own. */
    readonly serviceAccountKey?: string;
  };
  /** Which addresses a project's KMIP servers may have; by default any but our own machine's and link-local ones. */
  readonly kmip?: Pick<KmipKeyProviderOptions, 'allowAddress'>;
}

/** The adapters of `@atrest/kms`. */
export interface Adapters {
  readonly factories: ProviderFactories;
  readonly proveAwsRole: AwsRoleProof;
  readonly roleSessions: RoleSessions;
  /** Closes connections that keys share. Clients of single keys are closed by who made them, before. */
  readonly close: () => void;
}

/** Connections to one region of AWS: above any sensible number of checks at the same time, and far below what a process can open. */
const AWS_CONNECTIONS = 1_000;

/** The adapters of `@atrest/kms`, each with its own call limits. */
export function adapters({ clock, metrics }: { readonly clock: Clock; readonly metrics: Metrics }, o: AdapterSettings): Adapters {
  const limiters = (quotaOf: (region: string) => number) => new CallLimiters({ clock, sleep: sleepFor, quotaOf });
  const awsConnections = new AwsConnections({ maxSockets: AWS_CONNECTIONS });
  const awsOptions: AwsKeyProviderOptions = {
    limiters: limiters(awsRequestQuotaOf),
    stsLimiters: limiters(awsStsRequestQuotaOf),
    connections: awsConnections,
    metrics,
    ...(o.awsEndpoint !== undefined && { endpoint: o.awsEndpoint }),
    ...o.aws,
  };
  const [azure, gcp, kmip] = [limiters(azureRequestQuotaOf), limiters(gcpRequestQuotaOf), limiters(kmipRequestQuotaOf)];
  const { serviceAccountKey: ourServiceAccount, ...gcpOptions } = o.gcp ?? {};
  // One connection serves every key: a client of its own for each would cost 100 ms and a connection.
  const gcpConnections = new GcpConnections(gcpOptions.endpoint);
  const factories: ProviderFactories = {
    AWS: (key) => {
      const named = { keyId: textOf(key.settings, 'customerMasterKeyID'), region: atlasRegionOf(key.settings) };
      return new AwsKeyProvider({ ...named, ...awsIdentity(key) }, awsOptions);
    },
    AZURE: (key) => new AzureKeyProvider({ ...azureIdentity(key), ...azureKey(key) }, { limiters: azure, metrics, clock, ...o.azure }),
    GCP: (key) => {
      const serviceAccountKey = key.credentials.kind === 'role' ? ourServiceAccount : key.credentials.secret;
      if (serviceAccountKey === undefined) throw new KmsUsageError('This installation has no service account in Google Cloud.');
      const keyVersionResourceID = textOf(key.settings, 'keyVersionResourceID');
      return new GcpKeyProvider(
        { keyVersionResourceID, serviceAccountKey },
        { limiters: gcp, metrics, connections: gcpConnections, ...gcpOptions },
      );
    },
    KMIP: ({ settings, credentials }) => {
      if (credentials.kind === 'role') throw new KmsUsageError('KMIP knows no roles.');
      const reached = { hosts: kmipHosts(settings), port: kmipPort(settings), caCertificate: textOf(settings, 'caCertificate') };
      const access = { keyId: textOf(settings, 'keyIdentifier'), ...reached, clientCertificate: credentials.secret };
      return new KmipKeyProvider(access, { limiters: kmip, metrics, now: () => clock.now(), allowAddress: mayBeAnAppliance, ...o.kmip });
    },
  };
  const roleSessions: RoleSessions = {
    open: (role, region, seconds) => awsRoleSession({ role, region, seconds }, { ...awsOptions, connections: awsConnections }),
  };
  const close = (): void => {
    awsConnections.close();
    gcpConnections.close();
  };
  return { factories, proveAwsRole: (role) => proveAwsRole(role, awsOptions), roleSessions, close };
}

/**
 * Becomes the role and asks for a key that every account may name. What AWS KMS answers does not matter: that it was asked at all means that the role
 * was assumed.
 */
async function proveAwsRole(
  { roleArn, externalId }: Parameters<AwsRoleProof>[0],
  options: AwsKeyProviderOptions,
): ReturnType<AwsRoleProof> {
  const region = roleArn.startsWith('arn:aws-cn:') ? 'CN_NORTH_1' : roleArn.startsWith('arn:aws-us-gov:') ? 'US_GOV_WEST_1' : 'US_EAST_1';
  const client = new AwsKeyProvider({ keyId: 'alias/atrest-role-proof', region, role: { roleArn, externalId } }, options);
  try {
    await client.describe();
    return usable();
  } catch (error) {
    if (error instanceof KmsError && error.code !== 'KMS.ASSUME_ROLE') throw error;
    const verdict = client.verdict(error);
    return error instanceof KmsError || verdict.kind === 'transient' ? verdict : usable();
  } finally {
    client.close();
  }
}

function awsIdentity({ settings, credentials }: KeyReference) {
  if (credentials.kind === 'secret') return { accessKeyId: textOf(settings, 'accessKeyID'), secretAccessKey: credentials.secret };
  if (credentials.role.provider !== 'AWS') throw new KmsUsageError('The role is not one of AWS.');
  const { roleArn, externalId } = credentials.role;
  return { role: { roleArn, externalId } };
}

const azureKey = ({ settings }: KeyReference) => ({
  environment: textOf(settings, 'azureEnvironment') as AzureEnvironment,
  keyIdentifier: textOf(settings, 'keyIdentifier'),
});

function azureIdentity({ settings, credentials }: KeyReference) {
  if (credentials.kind === 'secret') {
    const proof = { kind: 'client-secret', clientSecret: credentials.secret } as const;
    return { tenantId: textOf(settings, 'tenantID'), clientId: textOf(settings, 'clientID'), proof };
  }
  if (credentials.role.provider !== 'AZURE') throw new KmsUsageError('The role is not one of Azure.');
  return { tenantId: credentials.role.tenantId, clientId: credentials.role.appId, proof: { kind: 'workload-identity' } as const };
}
