import type { AWS_KMS_REGIONS } from '@atrest/contracts';
import { awsPartitionOf, awsRegionOf, isAwsAlias, parseAwsKeyArn, type AtlasAwsRegion } from '@atrest/kms';
import { refusal, type Refusal, type RefusalCode } from '../refusal.js';
import { textOf, type ProviderBinding, type ProviderSettings } from './provider-binding.js';

function refuseSettings(settings: ProviderSettings): Refusal | null {
  const atlasRegion = atlasRegionOf(settings);
  const region = awsRegionOf(atlasRegion);
  if (region === null) {
    return refusal('AWS_KMS_REGION_NOT_SUPPORTED', `No AWS KMS key lives in the region ${atlasRegion}.`, [atlasRegion]);
  }
  const wrongKey = refuseKeyId(textOf(settings, 'customerMasterKeyID'), region);
  if (wrongKey !== null) return refusal('INVALID_ATTRIBUTE', `awsKms.customerMasterKeyID ${wrongKey}`, ['customerMasterKeyID']);
  if ('accessKeyID' in settings && !/^\w{16,128}$/.test(textOf(settings, 'accessKeyID'))) {
    return refusal('INVALID_ATTRIBUTE', 'awsKms.accessKeyID must be 16 to 128 letters and digits, without blanks.', ['accessKeyID']);
  }
  return null;
}

function refuseSecret(secret: string): Refusal | null {
  // A blank at the end, copied with the secret, would look like wrong credentials for ever.
  if (!/\s/.test(secret)) return null;
  return refusal('INVALID_ATTRIBUTE', 'awsKms.secretAccessKey must not contain blanks or line breaks.', ['secretAccessKey']);
}

/** Multi-region keys have ids of their own form (`mrk-…`). */
const KEY_ID = /^([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|mrk-[0-9a-f]{32})$/;
const ALIAS_NAME = /^[a-zA-Z0-9/_-]{1,250}$/;

/** The rule that the text breaks, or null when it names an AWS key of this region. */
function refuseKeyId(text: string, region: string): string | null {
  if (/\s/.test(text)) return 'must not contain blanks or line breaks.';
  if (/^https?:\/\//i.test(text)) return 'is a URL (an Azure Key Vault key?): AWS keys are named by key id, alias or ARN.';
  if (text.startsWith('projects/')) return 'is a Google Cloud resource name: AWS keys are named by key id, alias or ARN.';
  if (text.startsWith('arn:')) return refuseArn(text, region);
  if (text.startsWith('alias/'))
    return ALIAS_NAME.test(text.slice('alias/'.length)) ? null : 'is not an alias name (alias/<letters, digits, / _ ->).';
  return KEY_ID.test(text) ? null : 'must be a key id, an alias name (alias/…), a key ARN or an alias ARN.';
}

function refuseArn(text: string, region: string): string | null {
  const arn = parseAwsKeyArn(text);
  if (arn === null) return 'is not the ARN of a KMS key or alias (arn:aws:kms:<region>:<account>:key/<id> or …:alias/<name>).';
  if (arn.partition !== awsPartitionOf(region)) return `is an ARN of the partition ${arn.partition}, but the region is ${region}.`;
  if (arn.awsRegion !== region) return `is an ARN of the region ${arn.awsRegion}, but the region is ${region}.`;
  const wellFormed = arn.kind === 'key' ? KEY_ID.test(arn.name) : ALIAS_NAME.test(arn.name);
  return wellFormed ? null : `does not end in a well-formed ${arn.kind === 'key' ? 'key id' : 'alias name'}.`;
}

/** `awsKms.region`; the schema of the API lets nothing else in. */
export const atlasRegionOf = (settings: ProviderSettings): AtlasAwsRegion => textOf(settings, 'region') as (typeof AWS_KMS_REGIONS)[number];

const REFUSALS: ProviderBinding['refusals'] = {
  KEY_DISABLED: ['AWS_KMS_CUSTOMER_MASTER_KEY_NOT_ENABLED', 'The key is disabled. Enable it in AWS KMS.'],
  KEY_PENDING_DELETION: [
    'AWS_KMS_CUSTOMER_MASTER_KEY_PENDING_DELETION',
    'The key is scheduled for deletion. Cancel the deletion and enable it.',
  ],
  KEY_PENDING_IMPORT: ['AWS_KMS_CUSTOMER_MASTER_KEY_PENDING_IMPORT', 'The key has no key material yet. Import it.'],
  KEY_NOT_FOUND: ['AWS_CUSTOMER_MASTER_KEY_NOT_FOUND', 'AWS KMS knows no such key in this region and account.'],
  KEY_USAGE_WRONG: [
    'NO_PERMISSION_TO_ENCRYPT_DECRYPT',
    'The key is not for encryption: a symmetric key with usage ENCRYPT_DECRYPT is needed.',
  ],
  ACCESS_DENIED: ['NO_PERMISSION_TO_ENCRYPT_DECRYPT', 'The credentials may not use the key. Allow kms:Encrypt and kms:Decrypt.'],
  CREDENTIALS_INVALID: ['INVALID_AWS_CREDENTIALS', 'AWS refuses the credentials.'],
  CREDENTIALS_EXPIRED: ['INVALID_AWS_CREDENTIALS', 'The credentials have expired.'],
  CREDENTIALS_MISSING: ['INVALID_AWS_CREDENTIALS', 'There are no credentials.'],
  CONFIGURATION_WRONG: ['INVALID_ATTRIBUTE', 'AWS KMS does not accept the settings.'],
  CANARY_NOT_UNWRAPPED: ['NO_PERMISSION_TO_ENCRYPT_DECRYPT', 'The key did not unwrap what was wrapped with it.'],
  CANARY_DIFFERS: ['NO_PERMISSION_TO_ENCRYPT_DECRYPT', 'The key gave back other bytes than were wrapped with it.'],
} satisfies Record<string, readonly [RefusalCode, string]>;

/** `awsKms`: a key in AWS KMS, reached with an access key or a role. */
export const awsBinding: ProviderBinding = {
  provider: 'AWS',
  attribute: 'awsKms',
  kms: 'AWS KMS',
  fields: [
    { name: 'customerMasterKeyID', kind: 'key' },
    { name: 'region', kind: 'key' },
    { name: 'accessKeyID', kind: 'identity' },
    { name: 'roleId', kind: 'identity' },
  ],
  methods: [
    { identity: ['accessKeyID'], secret: 'secretAccessKey' },
    { identity: ['roleId'], secret: null },
  ],
  defaults: {},
  refuseSettings,
  refuseSecret,
  keyOf: (settings) => ({ keyId: textOf(settings, 'customerMasterKeyID'), region: atlasRegionOf(settings) }),
  namesAlias: (settings) => isAwsAlias(textOf(settings, 'customerMasterKeyID')),
  refusals: REFUSALS,
  wrapAdvice: 'Allow kms:Encrypt on it.',
  keepKey: (settings, resolvedKeyId) => {
    const region = awsRegionOf(atlasRegionOf(settings)) ?? '';
    return {
      command: `aws kms cancel-key-deletion --region ${region} --key-id ${resolvedKeyId} && aws kms enable-key --region ${region} --key-id ${resolvedKeyId}`,
      explanation: 'Cancels the deletion. A key comes out of it disabled, so it is enabled as well.',
    };
  },
};
