/**
 * Regions as the Atlas Admin API names them for `awsKms.region`. `GLOBAL` is part of Atlas's enumeration but names no region
 * where a key can live.
 */
export const ATLAS_AWS_REGIONS = [
  'US_GOV_WEST_1',
  'US_GOV_EAST_1',
  'US_EAST_1',
  'US_EAST_2',
  'US_WEST_1',
  'US_WEST_2',
  'CA_CENTRAL_1',
  'EU_NORTH_1',
  'EU_WEST_1',
  'EU_WEST_2',
  'EU_WEST_3',
  'EU_CENTRAL_1',
  'EU_CENTRAL_2',
  'AP_EAST_1',
  'AP_EAST_2',
  'AP_NORTHEAST_1',
  'AP_NORTHEAST_2',
  'AP_NORTHEAST_3',
  'AP_SOUTHEAST_1',
  'AP_SOUTHEAST_2',
  'AP_SOUTHEAST_3',
  'AP_SOUTHEAST_4',
  'AP_SOUTHEAST_5',
  'AP_SOUTHEAST_6',
  'AP_SOUTHEAST_7',
  'AP_SOUTH_1',
  'AP_SOUTH_2',
  'SA_EAST_1',
  'CN_NORTH_1',
  'CN_NORTHWEST_1',
  'ME_SOUTH_1',
  'ME_CENTRAL_1',
  'AF_SOUTH_1',
  'EU_SOUTH_1',
  'EU_SOUTH_2',
  'IL_CENTRAL_1',
  'CA_WEST_1',
  'MX_CENTRAL_1',
  'GLOBAL',
] as const;
export type AtlasAwsRegion = (typeof ATLAS_AWS_REGIONS)[number];

export const isAtlasAwsRegion = (text: string): text is AtlasAwsRegion => (ATLAS_AWS_REGIONS as readonly string[]).includes(text);

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
