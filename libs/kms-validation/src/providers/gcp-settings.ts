import { refusal, type Refusal } from '../refusal.js';
import { textOf, type ProviderBinding, type ProviderSettings } from './provider-binding.js';

const VERSION_NAME =
  /^projects\/([a-z0-9.:-]{1,100})\/locations\/([a-z0-9-]{1,63})\/keyRings\/([a-zA-Z0-9_-]{1,63})\/cryptoKeys\/([a-zA-Z0-9_-]{1,63})\/cryptoKeyVersions\/([1-9][0-9]{0,9})$/;

/** The parts of `projects/…/cryptoKeyVersions/n`, or null when it is none. */
export interface GcpKeyVersionName {
  readonly project: string;
  readonly location: string;
  readonly keyRing: string;
  readonly cryptoKey: string;
  readonly version: string;
}

export function parseGcpKeyVersion(text: string): GcpKeyVersionName | null {
  const match = VERSION_NAME.exec(text);
  if (match === null) return null;
  const [, project = '', location = '', keyRing = '', cryptoKey = '', version = ''] = match;
  return { project, location, keyRing, cryptoKey, version };
}

function refuseSettings(settings: ProviderSettings): Refusal | null {
  if (parseGcpKeyVersion(textOf(settings, 'keyVersionResourceID')) !== null) return null;
  const detail =
    'googleCloudKms.keyVersionResourceID must be projects/<project>/locations/<location>/keyRings/<ring>/cryptoKeys/<key>/cryptoKeyVersions/<number>.';
  return refusal('INVALID_ATTRIBUTE', detail, ['keyVersionResourceID']);
}

/** Says what is missing without saying what is there. */
function refuseSecret(secret: string): Refusal | null {
  const wrong = (rule: string) =>
    refusal('INVALID_GOOGLE_CLOUD_CREDENTIALS', `googleCloudKms.serviceAccountKey ${rule}`, ['serviceAccountKey']);
  let key: unknown;
  try {
    key = JSON.parse(secret);
  } catch {
    return wrong('must be the JSON document of a service account key, as one string.');
  }
  if (typeof key !== 'object' || key === null) return wrong('must be the JSON document of a service account key.');
  const { type, client_email: email, private_key: privateKey } = key as Record<string, unknown>;
  // Other types (external_account, impersonated_service_account) carry addresses and commands that we would follow.
  if (type !== 'service_account') return wrong('must have the type service_account.');
  if (typeof email !== 'string' || !/^[^\s@]+@[^\s@]+$/.test(email)) return wrong('has no client_email.');
  if (typeof privateKey !== 'string' || !privateKey.includes('PRIVATE KEY')) return wrong('has no private_key.');
  return null;
}

/** `googleCloudKms`: a key version in Google Cloud KMS, reached with a service account key or a service account of this installation. */
export const gcpBinding: ProviderBinding = {
  provider: 'GCP',
  attribute: 'googleCloudKms',
  kms: 'Google Cloud KMS',
  fields: [
    { name: 'keyVersionResourceID', kind: 'key' },
    { name: 'roleId', kind: 'identity' },
  ],
  methods: [
    { identity: [], secret: 'serviceAccountKey' },
    { identity: ['roleId'], secret: null },
  ],
  defaults: {},
  refuseSettings,
  refuseSecret,
  keyOf: (settings) => {
    const keyId = textOf(settings, 'keyVersionResourceID');
    return { keyId, region: parseGcpKeyVersion(keyId)?.location ?? null };
  },
  namesAlias: () => false,
  refusals: {
    KEY_DISABLED: ['GOOGLE_CLOUD_KMS_KEY_VERSION_DISABLED', 'The key version is disabled. Enable it in Google Cloud KMS.'],
    KEY_PENDING_DELETION: [
      'GOOGLE_CLOUD_KMS_KEY_VERSION_DESTROY_SCHEDULED',
      'The key version is scheduled for destruction. Restore it and enable it.',
    ],
    KEY_PENDING_IMPORT: ['GOOGLE_CLOUD_KMS_KEY_VERSION_PENDING_GENERATION', 'The key version has no key material yet.'],
    KEY_NOT_FOUND: ['GOOGLE_CLOUD_KMS_KEY_VERSION_NOT_FOUND', 'Google Cloud KMS knows no such key version, or it is destroyed.'],
    KEY_USAGE_WRONG: ['NO_PERMISSION_TO_ENCRYPT_DECRYPT', 'The key is not for encryption: the purpose ENCRYPT_DECRYPT is needed.'],
    ACCESS_DENIED: [
      'NO_PERMISSION_TO_ENCRYPT_DECRYPT',
      'The service account may not use the key, or there is no such key. Grant roles/cloudkms.cryptoKeyEncrypterDecrypter.',
    ],
    CREDENTIALS_INVALID: ['INVALID_GOOGLE_CLOUD_CREDENTIALS', 'Google Cloud refuses the credentials.'],
    CREDENTIALS_EXPIRED: ['INVALID_GOOGLE_CLOUD_CREDENTIALS', 'The credentials have expired.'],
    CREDENTIALS_MISSING: ['INVALID_GOOGLE_CLOUD_CREDENTIALS', 'There are no credentials.'],
    CONFIGURATION_WRONG: ['INVALID_ATTRIBUTE', 'Google Cloud KMS does not accept the settings.'],
    CANARY_NOT_UNWRAPPED: ['NO_PERMISSION_TO_ENCRYPT_DECRYPT', 'The key did not unwrap what was wrapped with it.'],
    CANARY_DIFFERS: ['NO_PERMISSION_TO_ENCRYPT_DECRYPT', 'The key gave back other bytes than were wrapped with it.'],
  },
  wrapAdvice: 'Grant cloudkms.cryptoKeyVersions.useToEncrypt on it.',
  keepKey: (settings, resolvedKeyId) => {
    const key = parseGcpKeyVersion(resolvedKeyId) ?? parseGcpKeyVersion(textOf(settings, 'keyVersionResourceID'));
    const of = `--key ${key?.cryptoKey ?? ''} --keyring ${key?.keyRing ?? ''} --location ${key?.location ?? ''} --project ${key?.project ?? ''}`;
    const version = key?.version ?? '';
    return {
      command: `gcloud kms keys versions restore ${version} ${of} && gcloud kms keys versions enable ${version} ${of}`,
      explanation: 'Takes the version out of its scheduled destruction. It comes out disabled, so it is enabled as well.',
    };
  },
};
