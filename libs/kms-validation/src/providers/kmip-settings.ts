import { BlockList, isIP } from 'node:net';
import { refusal, type Refusal } from '../refusal.js';
import { textOf, type ProviderBinding, type ProviderSettings } from './provider-binding.js';

/** IANA's port for KMIP. */
const KMIP_PORT = 5696;
const HOST_NAME = /^(?=.{1,253}$)[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*\.?$/;
/** Unique identifiers are free text in KMIP; blanks at the ends and control characters are copying mistakes. */
// oxlint-disable-next-line no-control-regex -- control characters are what it looks for.
const KEY_IDENTIFIER = /^(?! )[^\u0000-\u001f\u007f]{1,1024}(?<! )$/;

const invalid = (name: string, rule: string) => refusal('INVALID_ATTRIBUTE', `kmip.${name} ${rule}`, [name]);

/** The hosts in the order in which they are tried. */
export function kmipHosts(settings: ProviderSettings): readonly string[] {
  const hosts = settings['hosts'];
  return Array.isArray(hosts) ? (hosts as readonly string[]) : [];
}

export const kmipPort = (settings: ProviderSettings): number => (typeof settings['port'] === 'number' ? settings['port'] : KMIP_PORT);

function refuseSettings(settings: ProviderSettings): Refusal | null {
  for (const host of kmipHosts(settings)) {
    const wrong = refuseHost(host);
    if (wrong !== null) return invalid('hosts', wrong);
  }
  if (!textOf(settings, 'caCertificate').includes('-----BEGIN CERTIFICATE-----')) return invalid('caCertificate', 'must be PEM.');
  if (!KEY_IDENTIFIER.test(textOf(settings, 'keyIdentifier'))) {
    return invalid('keyIdentifier', 'must be the unique identifier of the key, without blanks at its ends.');
  }
  return null;
}

function refuseHost(host: string): string | null {
  if (isIP(host) !== 0) return mayBeAnAppliance(host) ? null : 'must not hold a loopback or link-local address.';
  if (!HOST_NAME.test(host)) return `holds ${host.slice(0, 100)}, which is no host name or address.`;
  return /(^|\.)localhost\.?$/i.test(host) ? 'must not name this machine itself.' : null;
}

/** Our own machine's addresses and link-local ones, among them the clouds' metadata services. */
const NEVER = new BlockList();
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
] as const) {
  NEVER.addSubnet(network, prefix, 'ipv4');
  NEVER.addSubnet(`::ffff:${network}`, 96 + prefix, 'ipv6');
}
NEVER.addSubnet('::', 127, 'ipv6');
NEVER.addSubnet('fe80::', 10, 'ipv6');

/** An appliance is an address of the customer's network. Asked again for what a name resolves to. */
export const mayBeAnAppliance = (address: string): boolean => !NEVER.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');

function refuseSecret(secret: string): Refusal | null {
  const hasBoth = secret.includes('-----BEGIN CERTIFICATE-----') && /-----BEGIN (?:RSA |EC )?PRIVATE KEY-----/.test(secret);
  return hasBoth ? null : invalid('clientCertificate', 'must be PEM: the certificate and its unencrypted private key.');
}

/** `kmip`, an extension: a key in an appliance that speaks KMIP, as MongoDB Ops Manager uses it. */
export const kmipBinding: ProviderBinding = {
  provider: 'KMIP',
  attribute: 'kmip',
  kms: 'The KMIP server',
  fields: [
    { name: 'keyIdentifier', kind: 'key' },
    { name: 'hosts', kind: 'identity' },
    { name: 'port', kind: 'identity' },
    { name: 'caCertificate', kind: 'identity' },
  ],
  methods: [{ identity: ['hosts', 'port', 'caCertificate'], secret: 'clientCertificate' }],
  defaults: { port: KMIP_PORT },
  refuseSettings,
  refuseSecret,
  keyOf: (settings) => ({ keyId: textOf(settings, 'keyIdentifier'), region: null }),
  namesAlias: () => false,
  refusals: {
    KEY_DISABLED: [
      'ENCRYPTION_AT_REST_SETTINGS_INVALID',
      'The key is not active (deactivated, or compromised). Activate it, or name another one.',
    ],
    KEY_PENDING_DELETION: ['ENCRYPTION_AT_REST_SETTINGS_INVALID', 'The key is about to be destroyed.'],
    KEY_PENDING_IMPORT: ['ENCRYPTION_AT_REST_SETTINGS_INVALID', 'The key is not active yet. Activate it.'],
    KEY_NOT_FOUND: ['ENCRYPTION_AT_REST_SETTINGS_INVALID', 'The KMIP server knows no such key, or it is destroyed.'],
    KEY_USAGE_WRONG: [
      'NO_PERMISSION_TO_ENCRYPT_DECRYPT',
      'The key is not for this: a symmetric AES-256 key is needed that the client may use.',
    ],
    ACCESS_DENIED: ['NO_PERMISSION_TO_ENCRYPT_DECRYPT', 'The client certificate may not use the key.'],
    CREDENTIALS_INVALID: ['ENCRYPTION_AT_REST_SETTINGS_INVALID', 'The KMIP server refuses the client certificate.'],
    CREDENTIALS_EXPIRED: ['ENCRYPTION_AT_REST_SETTINGS_INVALID', 'The client certificate has expired.'],
    CREDENTIALS_MISSING: ['ENCRYPTION_AT_REST_SETTINGS_INVALID', 'There is no client certificate.'],
    CONFIGURATION_WRONG: ['ENCRYPTION_AT_REST_SETTINGS_INVALID', 'The KMIP server cannot be used with these settings.'],
    CANARY_NOT_UNWRAPPED: ['NO_PERMISSION_TO_ENCRYPT_DECRYPT', 'The key did not unwrap what was wrapped with it.'],
    CANARY_DIFFERS: ['NO_PERMISSION_TO_ENCRYPT_DECRYPT', 'The key gave back other bytes than were wrapped with it.'],
  },
  wrapAdvice: 'Let the client certificate use it.',
  keepKey: (settings) => ({
    command: `# in the appliance: Modify Attribute "Deactivation Date" of ${textOf(settings, 'keyIdentifier')} to a later date (or delete the attribute)`,
    explanation: 'KMIP knows no call-off of its own: a key stays active for as long as its Deactivation Date lies ahead.',
  }),
};
