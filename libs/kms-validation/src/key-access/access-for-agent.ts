import type { KeyAccessSecret } from '@atrest/contracts';
import type { AtlasAwsRegion, AwsRole, AwsSession } from '@atrest/kms';
import type { AuthorisedRole, KeyReference } from '../key-access.js';
import { atlasRegionOf } from '../providers/aws-settings.js';
import { kmipHosts, kmipPort } from '../providers/kmip-settings.js';
import { textOf } from '../providers/provider-binding.js';

export type AccessForAgent = KeyAccessSecret['access'];

/** Opens sessions of customers' roles in AWS. */
export interface RoleSessions {
  open(role: AwsRole, region: AtlasAwsRegion, seconds: number): Promise<AwsSession>;
}

/**
 * How long an agent may act under a customer's role: as long as every role allows unless its owner said otherwise. An agent that is busy with another
 * snapshot still gets to use it, and half an hour would not be enough for that.
 */
const SESSION_SECONDS = 3_600;

/** Access to this key cannot be given to an agent, whatever its state is. The message is for people and holds nothing secret. */
export class AccessNotForAgentsError extends Error {
  readonly code = 'KMS_VALIDATION.ACCESS_NOT_FOR_AGENTS';
  override readonly name = 'AccessNotForAgentsError';
}

/**
 * What an agent needs to use the key by itself, and no more: of a role never what this installation assumes it with.
 * @param resolvedKeyId the key behind an alias; what is wrapped by an agent is wrapped by that one, wherever the alias points by then
 */
export async function accessForAgent(
  { provider, settings, credentials }: KeyReference,
  resolvedKeyId: string,
  sessions: RoleSessions,
): Promise<AccessForAgent> {
  switch (provider) {
    case 'AWS': {
      const key = { provider, keyId: resolvedKeyId, region: atlasRegionOf(settings) };
      if (credentials.kind === 'secret') {
        return { ...key, accessKeyId: textOf(settings, 'accessKeyID'), secretAccessKey: credentials.secret };
      }
      const role = roleOf(credentials.role, provider);
      const { accessKeyId, secretAccessKey, sessionToken } = await sessions.open(role, key.region, SESSION_SECONDS);
      return { ...key, accessKeyId, secretAccessKey, sessionToken };
    }
    case 'AZURE': {
      const key = { provider, environment: textOf(settings, 'azureEnvironment'), keyIdentifier: textOf(settings, 'keyIdentifier') };
      if (credentials.kind === 'secret') {
        return { ...key, tenantId: textOf(settings, 'tenantID'), clientId: textOf(settings, 'clientID'), clientSecret: credentials.secret };
      }
      // A host proves by its own workload identity that it is the application.
      const { tenantId, appId } = roleOf(credentials.role, provider);
      return { ...key, tenantId, clientId: appId, clientSecret: null };
    }
    case 'GCP':
      if (credentials.kind === 'role') {
        throw new AccessNotForAgentsError(
          'The project uses a role in Google Cloud, under which only this installation itself can act, and no agent. Give the project a service account key.',
        );
      }
      return { provider, keyVersionResourceID: textOf(settings, 'keyVersionResourceID'), serviceAccountKey: credentials.secret };
    case 'KMIP':
      if (credentials.kind === 'role') throw new AccessNotForAgentsError('KMIP knows no roles.');
      return {
        provider,
        keyId: textOf(settings, 'keyIdentifier'),
        hosts: [...kmipHosts(settings)],
        port: kmipPort(settings),
        caCertificate: textOf(settings, 'caCertificate'),
        clientCertificate: credentials.secret,
      };
  }
}

function roleOf<Provider extends AuthorisedRole['provider']>(
  role: AuthorisedRole,
  provider: Provider,
): Extract<AuthorisedRole, { provider: Provider }> {
  if (role.provider !== provider) throw new AccessNotForAgentsError(`The role is one of ${role.provider}, and the key is in ${provider}.`);
  return role as Extract<AuthorisedRole, { provider: Provider }>;
}
