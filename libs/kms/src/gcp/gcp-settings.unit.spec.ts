import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeySettingsRefusedError } from '../errors.js';
import { crc32c } from './crc32c.js';
import { parseGcpCredentials, type GcpSubjectTokenPolicy } from './gcp-credentials.js';
import { parseGcpKeyVersion, requireGcpKeyVersion } from './gcp-key-names.js';

const KEY = 'projects/acme-prod/locations/europe-west1/keyRings/databases/cryptoKeys/orders_1';
const NAME = `${KEY}/cryptoKeyVersions/7`;

describe('names of key versions in Google Cloud', () => {
  it('reads the parts', () => {
    expect(requireGcpKeyVersion(NAME)).toEqual({
      name: NAME,
      keyName: KEY,
      projectId: 'acme-prod',
      location: 'europe-west1',
      keyRing: 'databases',
      cryptoKey: 'orders_1',
      version: '7',
    });
    expect(parseGcpKeyVersion(NAME.replace('acme-prod', 'example.com:acme'))?.projectId).toBe('example.com:acme');
  });

  const refused: [string, string, RegExp][] = [
    ['a space at the end', `${NAME} `, /white space/],
    ['a line break at the end', `${NAME}\n`, /white space/],
    ['a space at the beginning', ` ${NAME}`, /white space/],
    ['no version', KEY, /without its version/],
    ['version latest', `${KEY}/cryptoKeyVersions/latest`, /number of a version/],
    ['version 0', `${KEY}/cryptoKeyVersions/0`, /number of a version/],
    ['version 01', `${KEY}/cryptoKeyVersions/01`, /number of a version/],
    ['something after the version', `${NAME}:encrypt`, /number of a version/],
    ['a key of AWS', 'arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab', /AWS KMS/],
    ['an alias of AWS', 'alias/orders', /AWS KMS/],
    ['a key of Azure', 'https://acme.vault.azure.net/keys/orders/0123456789abcdef0123456789abcdef', /Azure Key Vault/],
    ['the address of the service before it', `//cloudkms.googleapis.com/${NAME}`, /must begin with 'projects\/'/],
    ['an address', `https://cloudkms.googleapis.com/v1/${NAME}`, /must begin with 'projects\/'/],
    ['nothing', '', /must look like/],
    ['another path', NAME.replace('keyRings', 'keyrings'), /must look like/],
    ['a way out', NAME.replace('databases', '../x'), /must look like/],
    ['a quote', NAME.replace('orders_1', 'o"rders'), /must look like/],
  ];
  it.each(refused)('F85 Google Cloud: refuses %s and says why', (_, text, rule) => {
    expect(parseGcpKeyVersion(text)).toBeNull();
    expect(() => requireGcpKeyVersion(text)).toThrow(KeySettingsRefusedError);
    expect(() => requireGcpKeyVersion(text)).toThrow(rule);
  });

  it('takes no text that is not exactly its own parts', () => {
    const pieces = fc.oneof(
      fc.constantFrom(NAME, KEY, '/cryptoKeyVersions/', '1', ' ', 'projects/', '\u0000'),
      fc.string({ unit: 'grapheme' }),
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 4 }), (parts) => {
        const text = parts.join('');
        const parsed = parseGcpKeyVersion(text);
        if (parsed === null) return;
        const { projectId, location, keyRing, cryptoKey, version } = parsed;
        const rebuilt = `projects/${projectId}/locations/${location}/keyRings/${keyRing}/cryptoKeys/${cryptoKey}/cryptoKeyVersions/${version}`;
        expect(rebuilt).toBe(text);
      }),
    );
  });
});

describe('credentials for Google Cloud', () => {
  const rsa = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  }).privateKey;
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' });
  const account = {
    type: 'service_account',
    project_id: 'acme-prod',
    private_key_id: 'abc',
    private_key: rsa,
    client_email: 'atrest@acme-prod.iam.gserviceaccount.com',
    token_uri: 'https://oauth2.googleapis.com/token',
  };
  const FILE = '/var/run/secrets/tokens/google';
  const identity = {
    type: 'external_account',
    audience: '//iam.googleapis.com/projects/123456/locations/global/workloadIdentityPools/pool/providers/cluster',
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    token_url: 'https://sts.googleapis.com/v1/token',
    credential_source: { file: FILE },
  };
  const policy: GcpSubjectTokenPolicy = { files: [FILE], origins: ['https://tokens.example.com'] };
  const read = (document: unknown) => parseGcpCredentials(JSON.stringify(document), policy);

  it('reads a service account and keeps only what it has checked', () => {
    expect(read({ ...account, auth_uri: 'https://evil.example', surprise: 1 })).toEqual({
      kind: 'service-account',
      clientEmail: account.client_email,
      privateKey: rsa,
      privateKeyId: 'abc',
      projectId: 'acme-prod',
    });
  });

  it('reads a workload identity, also with impersonation and regional endpoints', () => {
    for (const host of ['sts.googleapis.com', 'sts.europe-west1.rep.googleapis.com', 'sts-acme.p.googleapis.com']) {
      expect(read({ ...identity, token_url: `https://${host}/v1/token` })).toMatchObject({ tokenUrl: `https://${host}/v1/token` });
    }
    const url = `https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/${account.client_email}:generateAccessToken`;
    expect(read({ ...identity, service_account_impersonation_url: url })).toMatchObject({ impersonationUrl: url });
    const source = { url: 'https://tokens.example.com/v2?for=google', format: { type: 'json', subject_token_field_name: 'jwt' } };
    expect(read({ ...identity, credential_source: source })).toMatchObject({ source });
  });

  const refused: [string, unknown, RegExp][] = [
    ['another type', { ...account, type: 'authorized_user' }, /service_account/],
    ['no type', { ...account, type: undefined }, /service_account/],
    ['no e-mail', { ...account, client_email: '' }, /client_email/],
    ['the e-mail of a person', { ...account, client_email: 'someone@example.com' }, /client_email/],
    ['a key whose line breaks were escaped', { ...account, private_key: rsa.replaceAll('\n', '\\n') }, /line breaks/],
    ['a key for elliptic curves', { ...account, private_key: ec }, /RSA/],
    ['a list', [account], /JSON document/],
    ['a text', 'service_account', /JSON document/],
  ];
  it.each(refused)('refuses %s', (_, document, rule) => {
    expect(() => read(document)).toThrow(KeySettingsRefusedError);
    expect(() => read(document)).toThrow(rule);
  });

  const elsewhere: [string, unknown][] = [
    ['another token endpoint', { ...account, token_uri: 'https://evil.example/token' }],
    ['another universe', { ...account, universe_domain: 'evil.example' }],
    ['another universe of an identity', { ...identity, universe_domain: 'evil.example' }],
    ...[
      'http://sts.googleapis.com/v1/token',
      'https://sts.googleapis.com.evil.example/v1/token',
      'https://evil.example/v1/token',
      'https://evil-sts.example.googleapis.com/v1/token',
      'https://sts.googleapis.com@evil.example/v1/token',
      'https://user@sts.googleapis.com/v1/token',
      'https://sts.googleapis.com:8443/v1/token',
      'https://sts.googleapis.com/v1/token?x=1',
      'https://sts.googleapis.com/v1/token/../../x',
      'https://storage.googleapis.com/v1/token',
      'https://169.254.169.254/v1/token',
      'https://[::1]/v1/token',
      'file:///etc/passwd',
      'not a URL',
    ].map((url): [string, unknown] => [`the token_url ${url}`, { ...identity, token_url: url }]),
    ...[
      'https://evil.example/v1/projects/-/serviceAccounts/a@b:generateAccessToken',
      'https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/a@b:signBlob',
      '',
      7,
    ].map((url): [string, unknown] => [`the impersonation URL ${url}`, { ...identity, service_account_impersonation_url: url }]),
    ['a file that is not offered', { ...identity, credential_source: { file: '/proc/self/environ' } }],
    ['a way out of a file that is offered', { ...identity, credential_source: { file: `${FILE}/../../passwd` } }],
    ['a URL that is not offered', { ...identity, credential_source: { url: 'http://169.254.169.254/latest/meta-data' } }],
    ['a URL of another scheme', { ...identity, credential_source: { url: 'http://tokens.example.com/v2' } }],
    ['a URL of another port', { ...identity, credential_source: { url: 'https://tokens.example.com:8443/v2' } }],
    ['a file and a URL', { ...identity, credential_source: { file: FILE, url: 'https://tokens.example.com/v2' } }],
    ['a program', { ...identity, credential_source: { executable: { command: '/bin/true' } } }],
    [
      'the role of this machine at AWS',
      { ...identity, credential_source: { environment_id: 'aws1', region_url: 'http://169.254.169.254' } },
    ],
    ['a certificate of this machine', { ...identity, credential_source: { certificate: { use_default_certificate_config: true } } }],
    ['no source', { ...identity, credential_source: undefined }],
    ['a workforce pool', { ...identity, audience: '//iam.googleapis.com/locations/global/workforcePools/p/providers/x' }],
    ['a token type of AWS', { ...identity, subject_token_type: 'urn:ietf:params:aws:token-type:aws4_request' }],
  ];
  it.each(elsewhere)('F90 Google Cloud: refuses %s', (_, document) => {
    expect(() => read(document)).toThrow(KeySettingsRefusedError);
  });

  it('F90 Google Cloud: offers no file and no URL by default', () => {
    expect(() => parseGcpCredentials(JSON.stringify(identity))).toThrow(/does not offer/);
  });

  it('never quotes what it refuses', () => {
    for (const text of [
      `{"private_key": "hunter2"`,
      JSON.stringify({ ...account, private_key: 'hunter2' }),
      JSON.stringify({ type: 'hunter2' }),
      'hunter2',
    ]) {
      let message = '';
      try {
        parseGcpCredentials(text);
      } catch (error) {
        message = String(error);
      }
      expect(message).toContain('serviceAccountKey');
      expect(message).not.toContain('hunter2');
    }
  });
});

describe('CRC-32C', () => {
  it('gives the check values of RFC 3720, appendix B.4', () => {
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
    expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa);
    expect(crc32c(Buffer.alloc(32, 0xff))).toBe(0x62a8ab43);
    expect(crc32c(Buffer.alloc(0))).toBe(0);
  });
});
