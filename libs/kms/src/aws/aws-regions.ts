import type { AWS_KMS_REGIONS } from '@atrest/contracts';

/** A region as the Atlas Admin API names it for `awsKms.region`. */
export type AtlasAwsRegion = (typeof AWS_KMS_REGIONS)[number];

/** AWS's own name (`US_EAST_1` → `us-east-1`), or null for `GLOBAL`, where no key can live. */
export function awsRegionOf(region: AtlasAwsRegion): string | null {
  return region === 'GLOBAL' ? null : region.toLowerCase().replaceAll('_', '-');
}

/** The partition of an AWS region: keys, accounts and credentials of one are unknown in the others. */
export function awsPartitionOf(awsRegion: string): 'aws' | 'aws-us-gov' | 'aws-cn' {
  if (awsRegion.startsWith('us-gov-')) return 'aws-us-gov';
  if (awsRegion.startsWith('cn-')) return 'aws-cn';
  return 'aws';
}

export interface AwsKeyArn {
  readonly partition: string;
  readonly awsRegion: string;
  readonly accountId: string;
  /** `key` or `alias`. */
  readonly kind: 'key' | 'alias';
  /** Key id, or alias name without the `alias/` prefix. */
  readonly name: string;
}

/** Parts of `arn:aws:kms:<region>:<account>:key/<id>` (or `…:alias/<name>`); null when the text is not such an ARN. */
export function parseAwsKeyArn(text: string): AwsKeyArn | null {
  const match = /^arn:(aws[a-z-]*):kms:([a-z0-9-]+):(\d{12}):(key|alias)\/(.+)$/.exec(text);
  if (match === null) return null;
  const [, partition = '', awsRegion = '', accountId = '', kind = '', name = ''] = match;
  return { partition, awsRegion, accountId, kind: kind === 'alias' ? 'alias' : 'key', name };
}

/** Whether the key is named by an alias, which can be moved to another key. */
export function isAwsAlias(keyId: string): boolean {
  return keyId.startsWith('alias/') || parseAwsKeyArn(keyId)?.kind === 'alias';
}
