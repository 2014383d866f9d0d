import { KeySettingsRefusedError, parseGcpKeyVersion, requireGcpKeyVersion } from '@atrest/kms';
import { refusal, type Refusal } from '../refusal.js';
import { textOf, type ProviderBinding, type ProviderSettings } from './provider-binding.js';

function refuseSettings(settings: ProviderSettings): Refusal | null {
  try {
    requireGcpKeyVersion(textOf(settings, 'keyVersionResourceID'));
    return null;
  } catch (error) {
    if (!(error instanceof KeySettingsRefusedError)) throw error;
    return refusal('INVALID_ATTRIBUTE', `googleCloudKms.${error.message}`, [error.field]);
  }
}

/** The adapter reads the document; what it refuses is refused under the same code. Here only what cannot be one at all. */
function refuseSecret(secret: string): Refusal | null {
  if (secret.trimStart().startsWith('{')) return null;
  const detail = 'googleCloudKms.serviceAccountKey must be the JSON document that Google Cloud gave out, as one string.';
  return refusal('INVALID_GOOGLE_CLOUD_CREDENTIALS', detail, ['serviceAccountKey']);
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
    const key = parseGcpKeyVersion(resolvedKeyId) ?? requireGcpKeyVersion(textOf(settings, 'keyVersionResourceID'));
    const of = `--key ${key.cryptoKey} --keyring ${key.keyRing} --location ${key.location} --project ${key.projectId}`;
    const { version } = key;
    return {
      command: `gcloud kms keys versions restore ${version} ${of} && gcloud kms keys versions enable ${version} ${of}`,
      explanation: 'Takes the version out of its scheduled destruction. It comes out disabled, so it is enabled as well.',
    };
  },
};
