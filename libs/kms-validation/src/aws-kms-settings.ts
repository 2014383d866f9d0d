import type { AwsKmsChange } from '@atrest/contracts';
import { awsPartitionOf, awsRegionOf, parseAwsKeyArn, type AtlasAwsRegion } from '@atrest/kms';
import { refusal, refused, type Refusal, type Refused } from './refusal.js';

/** What a project says about its AWS key, without the secret. */
export interface AwsKmsSettings {
  readonly region: AtlasAwsRegion;
  /** Key id, alias name, key ARN or alias ARN, as the project wrote it. */
  readonly customerMasterKeyID: string;
  readonly accessKeyID: string;
}

/** What a PATCH of `awsKms` asks for, compared with what is stored. */
export type AwsKmsPlan =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'remove' }
  | { readonly kind: 'create'; readonly settings: AwsKmsSettings; readonly secretAccessKey: string }
  /** The same key under new credentials: allowed even when the present ones are refused, because that is how a revocation is repaired. */
  | { readonly kind: 'replace-credentials'; readonly settings: AwsKmsSettings; readonly secretAccessKey: string }
  /** Another key or region; a null secret means that the stored credentials stay. */
  | { readonly kind: 'replace-key'; readonly settings: AwsKmsSettings; readonly secretAccessKey: string | null }
  | Refused;

const NOTHING: AwsKmsPlan = { kind: 'nothing' };

/**
 * Compares a change with the present settings. Null and absent fields stay as they are, `valid` is ignored, and a body that changes
 * nothing (an empty one, or the object that was read) is nothing to do.
 */
export function planAwsKmsChange(current: AwsKmsSettings | null, change: AwsKmsChange | null | undefined): AwsKmsPlan {
  if (change === null || change === undefined) return NOTHING;
  if (change.enabled === false) return current === null ? NOTHING : { kind: 'remove' };
  const unsupported = refuseUnsupported(change);
  if (unsupported) return refused(unsupported);
  return current === null ? planCreation(change) : planReplacement(current, change);
}

function refuseUnsupported(change: AwsKmsChange): Refusal | null {
  if (change.roleId !== null && change.roleId !== undefined) {
    const detail = 'roleId is not supported: this release uses static credentials only. Give accessKeyID and secretAccessKey.';
    return refusal('INVALID_ATTRIBUTE', detail, ['roleId']);
  }
  if (change.requirePrivateNetworking === true) {
    const detail = 'requirePrivateNetworking is not supported: how the KMS is reached is set by the operator of this installation.';
    return refusal('INVALID_ATTRIBUTE', detail, ['requirePrivateNetworking']);
  }
  return null;
}

function planCreation(change: AwsKmsChange): AwsKmsPlan {
  const { customerMasterKeyID, region, accessKeyID, secretAccessKey } = change;
  const fields = { customerMasterKeyID, region, accessKeyID, secretAccessKey };
  const missing = Object.entries({ enabled: change.enabled, ...fields }).flatMap(([name, value]) =>
    value === null || value === undefined ? [name] : [],
  );
  if (missing.length === 5) return NOTHING;
  if (!customerMasterKeyID || !region || !accessKeyID || !secretAccessKey || missing.length > 0) return refused(missingAttributes(missing));
  const settings: AwsKmsSettings = { customerMasterKeyID, region, accessKeyID };
  const wrong = refuseSettings(settings) ?? refuseSecret(secretAccessKey);
  return wrong ? refused(wrong) : { kind: 'create', settings, secretAccessKey };
}

function missingAttributes(names: readonly string[]): Refusal {
  const detail = `Enabling awsKms for the first time needs ${names.map((name) => `awsKms.${name}`).join(', ')}.`;
  return refusal(names.length === 1 ? 'MISSING_ATTRIBUTE' : 'MISSING_ATTRIBUTES', detail, names);
}

function planReplacement(current: AwsKmsSettings, change: AwsKmsChange): AwsKmsPlan {
  const settings: AwsKmsSettings = {
    region: change.region ?? current.region,
    customerMasterKeyID: change.customerMasterKeyID ?? current.customerMasterKeyID,
    accessKeyID: change.accessKeyID ?? current.accessKeyID,
  };
  const secretAccessKey = change.secretAccessKey ?? null;
  const keyChanged = settings.region !== current.region || settings.customerMasterKeyID !== current.customerMasterKeyID;
  const userChanged = settings.accessKeyID !== current.accessKeyID;
  if (!keyChanged && !userChanged && secretAccessKey === null) return NOTHING;
  if (userChanged && secretAccessKey === null) {
    const detail = 'A new awsKms.accessKeyID needs its awsKms.secretAccessKey.';
    return refused(refusal('MISSING_ATTRIBUTE', detail, ['secretAccessKey']));
  }
  const wrong = refuseSettings(settings) ?? (secretAccessKey === null ? null : refuseSecret(secretAccessKey));
  if (wrong) return refused(wrong);
  if (keyChanged) return { kind: 'replace-key', settings, secretAccessKey };
  return { kind: 'replace-credentials', settings, secretAccessKey: secretAccessKey! };
}

/** Checks what can be checked without asking AWS. Nothing is trimmed or corrected: a stored name is the name that was given. */
export function refuseSettings(settings: AwsKmsSettings): Refusal | null {
  const region = awsRegionOf(settings.region);
  if (region === null) {
    return refusal('AWS_KMS_REGION_NOT_SUPPORTED', `No AWS KMS key lives in the region ${settings.region}.`, [settings.region]);
  }
  const wrongKey = refuseKeyId(settings.customerMasterKeyID, region);
  if (wrongKey !== null) return refusal('INVALID_ATTRIBUTE', `awsKms.customerMasterKeyID ${wrongKey}`, ['customerMasterKeyID']);
  if (!/^\w{16,128}$/.test(settings.accessKeyID)) {
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
