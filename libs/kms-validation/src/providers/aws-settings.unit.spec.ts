import { AWS_KMS_REGIONS, AwsKmsChangeSchema, type AwsKmsChange } from '@atrest/contracts';
import { awsPartitionOf, awsRegionOf } from '@atrest/kms';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { awsBinding } from './aws-settings.js';
import { planChange } from './plan-change.js';

const KEY = '1234abcd-12ab-34cd-56ef-1234567890ab';
const planAwsKmsChange = (stored: typeof current | null, change: AwsKmsChange | null) => planChange(awsBinding, stored, change);
const { refuseSettings } = awsBinding;
const current = { region: 'EU_WEST_1', customerMasterKeyID: KEY, accessKeyID: 'AKIAIOSFODNN7EXAMPLE' } as const;
const first: AwsKmsChange = { enabled: true, ...current, secretAccessKey: 'not-a-real-secret' };
const keyed = (customerMasterKeyID: string, region: string = 'EU_WEST_1') => ({
  ...current,
  customerMasterKeyID,
  region,
});

describe('what a PATCH of awsKms asks for', () => {
  it.each([
    ['nothing', null],
    ['an empty object', {}],
    ['read-only fields only', { valid: true }],
    [
      'nulls only',
      { enabled: null, customerMasterKeyID: null, region: null, accessKeyID: null, secretAccessKey: null, roleId: null, valid: null },
    ],
    ['enabled:false for a provider that was never configured', { enabled: false }],
  ] as [string, AwsKmsChange | null][])('%s is nothing to do before and after the first enabling', (name, change) => {
    expect(planAwsKmsChange(null, change)).toEqual({ kind: 'nothing' });
    expect(planAwsKmsChange(current, change)).toEqual({ kind: name.startsWith('enabled:false') ? 'remove' : 'nothing' });
  });

  it('the first enabling needs every field', () => {
    expect(planAwsKmsChange(null, first)).toEqual({ kind: 'create', settings: current, secret: 'not-a-real-secret' });
    for (const field of ['enabled', 'customerMasterKeyID', 'region', 'accessKeyID', 'secretAccessKey'] as const) {
      for (const absent of [null, undefined]) {
        expect(planAwsKmsChange(null, { ...first, [field]: absent })).toMatchObject({
          refusal: { code: 'MISSING_ATTRIBUTE', parameters: [field] },
        });
      }
    }
    expect(planAwsKmsChange(null, { enabled: true })).toMatchObject({
      refusal: { code: 'MISSING_ATTRIBUTES', parameters: ['customerMasterKeyID', 'region', 'accessKeyID', 'secretAccessKey'] },
    });
  });

  it('the object that was read, sent back as a whole, changes nothing', () => {
    expect(planAwsKmsChange(current, { enabled: true, ...current, roleId: null, requirePrivateNetworking: false, valid: false })).toEqual({
      kind: 'nothing',
    });
  });

  it('tells a new key from new credentials', () => {
    expect(planAwsKmsChange(current, { secretAccessKey: 'other' })).toEqual({
      kind: 'replace-credentials',
      settings: current,
      credentials: { kind: 'new', secret: 'other' },
    });
    const other = { accessKeyID: 'AKIAI44QH8DHBEXAMPLE', secretAccessKey: 'other' };
    expect(planAwsKmsChange(current, other)).toMatchObject({ kind: 'replace-credentials', settings: { accessKeyID: other.accessKeyID } });
    expect(planAwsKmsChange(current, { customerMasterKeyID: 'alias/orders' })).toMatchObject({
      kind: 'replace-key',
      credentials: { kind: 'keep' },
    });
    expect(planAwsKmsChange(current, { region: 'US_EAST_1' })).toMatchObject({ kind: 'replace-key', settings: { region: 'US_EAST_1' } });
    expect(planAwsKmsChange(current, { accessKeyID: other.accessKeyID })).toMatchObject({
      refusal: { code: 'MISSING_ATTRIBUTE', parameters: ['secretAccessKey'] },
    });
  });

  it('refuses what this release cannot do, and disables even when such fields come along', () => {
    expect(planAwsKmsChange(current, { requirePrivateNetworking: true })).toMatchObject({
      refusal: { parameters: ['requirePrivateNetworking'] },
    });
    expect(planAwsKmsChange(current, { enabled: false, requirePrivateNetworking: true })).toEqual({ kind: 'remove' });
  });

  it('a role takes the place of static credentials, and a new secret that of a role', () => {
    const roleId = 'a'.repeat(24);
    const { customerMasterKeyID, region } = current;
    const withRole = { customerMasterKeyID, region, roleId };
    const asked = { enabled: true, ...withRole } as AwsKmsChange;
    expect(planAwsKmsChange(null, asked)).toEqual({ kind: 'create', settings: withRole, secret: null });
    expect(planAwsKmsChange(null, { ...first, roleId })).toEqual({ kind: 'create', settings: withRole, secret: null });
    expect(planAwsKmsChange(current, { roleId })).toEqual({
      kind: 'replace-credentials',
      settings: withRole,
      credentials: { kind: 'new', secret: null },
    });
    expect(planChange(awsBinding, withRole, { ...asked, accessKeyID: null, valid: true })).toEqual({ kind: 'nothing' });
    expect(planChange(awsBinding, withRole, { accessKeyID: current.accessKeyID, secretAccessKey: 'other' })).toEqual({
      kind: 'replace-credentials',
      settings: current,
      credentials: { kind: 'new', secret: 'other' },
    });
    expect(planChange(awsBinding, withRole, { secretAccessKey: 'other' })).toMatchObject({
      refusal: { code: 'MISSING_ATTRIBUTE', parameters: ['accessKeyID'] },
    });
  });

  it('never repeats a secret in a refusal', () => {
    const plan = planAwsKmsChange(null, { ...first, secretAccessKey: 'pasted with a blank ' });
    expect(plan).toMatchObject({ refusal: { parameters: ['secretAccessKey'] } });
    expect(JSON.stringify(plan)).not.toContain('pasted');
  });
});

describe('the name of an AWS key', () => {
  it.each([
    KEY,
    'mrk-1234abcd12ab34cd56ef1234567890ab',
    'alias/orders',
    'alias/team/orders_2',
    `arn:aws:kms:eu-west-1:111122223333:key/${KEY}`,
    'arn:aws:kms:eu-west-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab',
    'arn:aws:kms:eu-west-1:111122223333:alias/orders',
  ])('%s is accepted', (name) => {
    expect(refuseSettings(keyed(name))).toBeNull();
  });

  it.each([
    ['a blank at the end', `${KEY} `],
    ['a line break', `${KEY}\n`],
    ['an Azure key', 'https://vault.vault.azure.net/keys/orders/0123456789abcdef'],
    ['a Google key', 'projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1'],
    ['an ARN of another region', `arn:aws:kms:us-east-1:111122223333:key/${KEY}`],
    ['an ARN of another partition', `arn:aws-cn:kms:eu-west-1:111122223333:key/${KEY}`],
    ['an ARN of another service', 'arn:aws:s3:eu-west-1:111122223333:bucket/x'],
    ['an ARN with a malformed key id', 'arn:aws:kms:eu-west-1:111122223333:key/nonsense'],
    ['an ARN with a version suffix', `arn:aws:kms:eu-west-1:111122223333:key/${KEY}/1`],
    ['an alias without a name', 'alias/'],
    ['an alias without its prefix', 'orders'],
    ['a key id with a version suffix', `${KEY}:2`],
    ['upper-case letters', KEY.toUpperCase()],
  ])('F85 %s is refused', (_, name) => {
    expect(refuseSettings(keyed(name))).toMatchObject({ code: 'INVALID_ATTRIBUTE', parameters: ['customerMasterKeyID'] });
  });

  it('accepts an ARN in exactly its own region, for every region of the API', () => {
    const regions = AWS_KMS_REGIONS.filter((region) => region !== 'GLOBAL');
    fc.assert(
      fc.property(fc.constantFrom(...regions), fc.constantFrom(...regions), (arnRegion, region) => {
        const name = awsRegionOf(arnRegion)!;
        const verdict = refuseSettings(keyed(`arn:${awsPartitionOf(name)}:kms:${name}:111122223333:key/${KEY}`, region));
        expect(verdict === null).toBe(arnRegion === region);
      }),
    );
    expect(refuseSettings(keyed(KEY, 'GLOBAL'))).toMatchObject({ code: 'AWS_KMS_REGION_NOT_SUPPORTED' });
  });

  it('whatever passes the schema is judged without an exception', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 2_048, unit: 'binary' }), (text) => {
        expect(AwsKmsChangeSchema.safeParse({ customerMasterKeyID: text }).success).toBe(true);
        expect([null, 'INVALID_ATTRIBUTE']).toContain(refuseSettings(keyed(text))?.code ?? null);
      }),
    );
  });
});
