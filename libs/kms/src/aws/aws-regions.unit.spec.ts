import { AWS_KMS_REGIONS } from '@atrest/contracts';
import { describe, expect, it } from 'vitest';
import { awsPartitionOf, awsRegionOf, isAwsAlias, parseAwsKeyArn } from './aws-regions.js';

describe('AWS regions and key names', () => {
  it('translates every region of the Atlas API', () => {
    expect(AWS_KMS_REGIONS).toHaveLength(39);
    for (const region of AWS_KMS_REGIONS) {
      if (region === 'GLOBAL') expect(awsRegionOf(region)).toBeNull();
      else expect(awsRegionOf(region)).toMatch(/^(us|us-gov|ca|eu|ap|sa|cn|me|af|il|mx)-[a-z]+-\d$/);
    }
    expect(awsRegionOf('US_GOV_WEST_1')).toBe('us-gov-west-1');
    expect(awsPartitionOf('us-gov-west-1')).toBe('aws-us-gov');
    expect(awsPartitionOf('cn-northwest-1')).toBe('aws-cn');
    expect(awsPartitionOf('eu-central-2')).toBe('aws');
  });

  it('reads ARNs and knows an alias', () => {
    const arn = 'arn:aws-cn:kms:cn-north-1:111122223333:alias/orders/eu';
    expect(parseAwsKeyArn(arn)).toEqual({
      partition: 'aws-cn',
      awsRegion: 'cn-north-1',
      accountId: '111122223333',
      kind: 'alias',
      name: 'orders/eu',
    });
    expect(isAwsAlias(arn)).toBe(true);
    expect(isAwsAlias('alias/orders')).toBe(true);
    expect(isAwsAlias('1234abcd-12ab-34cd-56ef-1234567890ab')).toBe(false);
    for (const wrong of ['', 'arn:aws:s3:::bucket', 'arn:aws:kms:us-east-1:1:key/x', ` ${arn}`]) expect(parseAwsKeyArn(wrong)).toBeNull();
  });
});
