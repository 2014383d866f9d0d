import { measured } from '../call-metrics.js';
import { KmsUsageError } from '../errors.js';
import { stsClientFor } from './aws-access.js';
import { assumeAwsRole, requireAwsRole, type AwsRole, type AwsSession } from './aws-assumed-role.js';
import type { AwsConnections } from './aws-connections.js';
import { classifyAwsError } from './aws-error-classification.js';
import type { AwsKeyProviderOptions } from './aws-key-provider.js';
import { awsRegionOf, type AtlasAwsRegion } from './aws-regions.js';

/** One request, and the handshake before it. */
const TIME_LIMIT_MS = 10_000;

/**
 * Assumes a customer's role for somebody who is to act under it without us: an agent that may use the key for one task, and is trusted with nothing else.
 *
 * @param seconds how long the session lasts; a role allows an hour unless its owner said otherwise
 * @throws AssumeRoleError for whatever STS or the way to it does; KmsUsageError and KeySettingsRefusedError before anything is asked
 */
export async function awsRoleSession(
  o: { readonly role: AwsRole; readonly region: AtlasAwsRegion; readonly seconds: number },
  options: Pick<AwsKeyProviderOptions, 'metrics' | 'stsEndpoint' | 'installation' | 'stsLimiters'> & {
    readonly connections: AwsConnections;
  },
): Promise<AwsSession> {
  const awsRegion = awsRegionOf(o.region);
  if (awsRegion === null) throw new KmsUsageError(`No AWS KMS key can live in the region ${o.region}.`);
  requireAwsRole(o.role, awsRegion);
  const client = await stsClientFor({ ...options, awsRegion });
  await options.stsLimiters?.acquire('installation', awsRegion);
  const verdict = (error: unknown) => classifyAwsError(error, { hasSessionToken: false });
  return measured(options.metrics, { provider: 'AWS', operation: 'AssumeRole', verdict }, () =>
    assumeAwsRole(client, o.role, AbortSignal.timeout(TIME_LIMIT_MS), o.seconds),
  );
}
