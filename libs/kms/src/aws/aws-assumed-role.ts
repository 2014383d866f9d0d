import type { STSClient } from '@aws-sdk/client-sts';
import { IncompleteAnswerError, KeySettingsRefusedError, KmsError } from '../errors.js';
import { awsPartitionOf } from './aws-regions.js';

/** An access key, and the token that belongs to it where it is temporary. */
export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** A role in the customer's account that trusts this installation. */
export interface AwsRole {
  /** The Atlas Admin API's `iamAssumedRoleArn`. */
  readonly roleArn: string;
  /**
   * What the role's trust policy asks for, different for each project (`atlasAssumedRoleExternalId`): without it, one project could
   * name another project's role and have us use that project's key.
   */
  readonly externalId: string;
}

/** A session of an assumed role. */
export interface AwsSession extends Required<AwsCredentials> {
  readonly expiresAt: Date;
}

/** AWS's shortest. A session outlives the trust that it was given on, so a long one would hide for long that the trust was taken back. */
const SESSION_SECONDS = 900;

/** AWS STS, requests per second per account and region (IAM and STS quotas). */
export const awsStsRequestQuotaOf = (): number => 600;

/**
 * The role was not assumed; `cause` is the SDK's error. Which credentials it speaks of makes all the difference: what STS says of
 * ours proves nothing about the customer's key.
 */
export class AssumeRoleError extends KmsError {
  readonly code = 'KMS.ASSUME_ROLE';

  constructor(cause: unknown) {
    super('The role could not be assumed.', { cause });
  }
}

/** @throws KeySettingsRefusedError when the text is no ARN of a role in the partition of the key's region. */
export function requireAwsRole(role: AwsRole, awsRegion: string): void {
  const [, partition] = /^arn:(aws[a-z-]*):iam::\d{12}:role\/[\w+=,.@/-]{1,512}$/.exec(role.roleArn) ?? [];
  if (partition === undefined) throw new KeySettingsRefusedError('iamAssumedRoleArn', 'must be the ARN of an IAM role');
  if (partition !== awsPartitionOf(awsRegion)) {
    throw new KeySettingsRefusedError(
      'iamAssumedRoleArn',
      `must belong to ${awsPartitionOf(awsRegion)}, the partition of the key's region`,
    );
  }
  // AWS's rule for external ids; an empty one would be no protection.
  if (!/^[\w+=,.@:/-]{2,1224}$/.test(role.externalId))
    throw new KeySettingsRefusedError('atlasAssumedRoleExternalId', 'must be an external id of 2 characters or more');
}

/**
 * Assumes the role with the client's credentials.
 *
 * @throws AssumeRoleError for whatever STS or the way to it does.
 */
export async function assumeAwsRole(
  client: STSClient,
  role: AwsRole,
  abortSignal: AbortSignal,
  seconds = SESSION_SECONDS,
): Promise<AwsSession> {
  const { AssumeRoleCommand } = await import('@aws-sdk/client-sts');
  try {
    const { Credentials: given } = await client.send(
      new AssumeRoleCommand({
        RoleArn: role.roleArn,
        // Shown in the customer's CloudTrail.
        RoleSessionName: 'atrest',
        ExternalId: role.externalId,
        DurationSeconds: seconds,
      }),
      { abortSignal },
    );
    const { AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey, SessionToken: sessionToken, Expiration: expiresAt } = given ?? {};
    if (accessKeyId === undefined || secretAccessKey === undefined || sessionToken === undefined || expiresAt === undefined) {
      throw new IncompleteAnswerError('AssumeRole', 'Credentials');
    }
    return { accessKeyId, secretAccessKey, sessionToken, expiresAt };
  } catch (error) {
    throw new AssumeRoleError(error);
  }
}
