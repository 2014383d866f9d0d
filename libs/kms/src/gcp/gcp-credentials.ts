import { createPrivateKey } from 'node:crypto';
import { KeySettingsRefusedError } from '../errors.js';

/** A service account with its private key. */
export interface GcpServiceAccount {
  readonly kind: 'service-account';
  readonly clientEmail: string;
  /** PEM. */
  readonly privateKey: string;
  readonly privateKeyId: string | null;
  /** Where requests count against the quota. */
  readonly projectId: string | null;
}

/** An identity outside Google Cloud that a workload identity pool accepts. */
export interface GcpExternalAccount {
  readonly kind: 'external-account';
  /** `//iam.googleapis.com/projects/…/workloadIdentityPools/…/providers/…` */
  readonly audience: string;
  readonly subjectTokenType: string;
  readonly tokenUrl: string;
  /** The service account that the identity becomes; null when it uses the key by itself. */
  readonly impersonationUrl: string | null;
  readonly source: GcpSubjectTokenSource;
}

/** Where the token of the outside identity comes from. */
export interface GcpSubjectTokenSource {
  readonly file?: string;
  readonly url?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly format?: { readonly type: 'text' | 'json'; readonly subject_token_field_name?: string };
}

export type GcpCredentials = GcpServiceAccount | GcpExternalAccount;

/**
 * What a project's credential configuration may make this installation read or ask. Nothing by default: such a document names
 * files, addresses and programs of the machine that uses it.
 */
export interface GcpSubjectTokenPolicy {
  /** Files by their exact path, e.g. a projected service account token of Kubernetes. */
  readonly files?: readonly string[];
  /** Origins (scheme, host, port) of token services, e.g. `https://tokens.example.com`. */
  readonly origins?: readonly string[];
}

const FIELD = 'serviceAccountKey';
const refuse = (rule: string): KeySettingsRefusedError => new KeySettingsRefusedError(FIELD, rule);

/** The hosts that Google gives out for token exchange and for impersonation, also regional and private ones. */
const GOOGLE_HOST = (service: 'sts' | 'iamcredentials'): RegExp =>
  new RegExp(
    `^(${service}|[a-z0-9-]+\\.${service}|${service}\\.[a-z0-9-]+(\\.rep)?|[a-z0-9-]+-${service}|${service}-[a-z0-9-]+\\.p)\\.googleapis\\.com$`,
  );

/** A document of credentials is small; anything larger is a mistake or an attack. */
const MAX_LENGTH = 32 * 1024;

/**
 * Reads `serviceAccountKey`: the JSON key of a service account, or the credential configuration of a workload identity pool
 * (`"type": "external_account"`). Checks every address in it and keeps only what it has checked.
 *
 * @throws KeySettingsRefusedError naming the rule, never a value.
 */
export function parseGcpCredentials(json: string, policy: GcpSubjectTokenPolicy = {}): GcpCredentials {
  if (json.length > MAX_LENGTH) throw refuse(`must not be longer than ${MAX_LENGTH} characters`);
  const document = objectOf(parse(json));
  if (document === null) throw refuse('must be the JSON document that Google Cloud gave out');
  const universe = document['universe_domain'] ?? 'googleapis.com';
  // It would decide which servers get the credentials.
  if (universe !== 'googleapis.com') throw refuse('must belong to the universe googleapis.com');
  if (document['type'] === 'service_account') return serviceAccount(document);
  if (document['type'] === 'external_account') return externalAccount(document, policy);
  throw refuse("must have the type 'service_account' or 'external_account'");
}

function serviceAccount(document: Record<string, unknown>): GcpServiceAccount {
  const clientEmail = text(document, 'client_email');
  if (!/^[^\s@]{1,64}@[a-z0-9.-]{1,190}\.gserviceaccount\.com$/.test(clientEmail))
    throw refuse('needs the client_email of a service account');
  const tokenUri = document['token_uri'] ?? 'https://oauth2.googleapis.com/token';
  if (tokenUri !== 'https://oauth2.googleapis.com/token' && tokenUri !== 'https://accounts.google.com/o/oauth2/token') {
    throw refuse("must not name another token_uri than Google's");
  }
  const privateKey = text(document, 'private_key');
  if (!isRsaKey(privateKey)) throw refuse('needs a private_key that is an RSA key in PEM form, with real line breaks');
  return {
    kind: 'service-account',
    clientEmail,
    privateKey,
    privateKeyId: typeof document['private_key_id'] === 'string' ? document['private_key_id'] : null,
    projectId: typeof document['project_id'] === 'string' ? document['project_id'] : null,
  };
}

function isRsaKey(pem: string): boolean {
  try {
    return createPrivateKey(pem).asymmetricKeyType === 'rsa';
  } catch {
    // What OpenSSL says about a bad key helps nobody and may quote it.
    return false;
  }
}

function externalAccount(document: Record<string, unknown>, policy: GcpSubjectTokenPolicy): GcpExternalAccount {
  const audience = text(document, 'audience');
  if (
    !/^\/\/iam\.googleapis\.com\/projects\/\d{1,20}\/locations\/global\/workloadIdentityPools\/[a-z0-9-]{4,32}\/providers\/[a-z0-9-]{4,32}$/.test(
      audience,
    )
  ) {
    throw refuse('needs the audience of a provider in a workload identity pool');
  }
  const subjectTokenType = text(document, 'subject_token_type');
  if (!/^urn:ietf:params:oauth:token-type:(jwt|id_token)$/.test(subjectTokenType))
    throw refuse('needs a subject_token_type of jwt or id_token');
  const tokenUrl = googleUrl(text(document, 'token_url'), 'sts', /^\/v1\/token$/, 'token_url');
  const impersonation = document['service_account_impersonation_url'];
  return {
    kind: 'external-account',
    audience,
    subjectTokenType,
    tokenUrl,
    impersonationUrl:
      impersonation === undefined
        ? null
        : googleUrl(
            typeof impersonation === 'string' ? impersonation : '',
            'iamcredentials',
            /^\/v1\/projects\/-\/serviceAccounts\/[^/:\s]{1,190}:generateAccessToken$/,
            'service_account_impersonation_url',
          ),
    source: subjectTokenSource(objectOf(document['credential_source']) ?? {}, policy),
  };
}

function googleUrl(value: string, service: 'sts' | 'iamcredentials', path: RegExp, member: string): string {
  const url = URL.canParse(value) ? new URL(value) : null;
  const fits =
    url !== null &&
    url.protocol === 'https:' &&
    url.port === '' &&
    url.username === '' &&
    url.password === '' &&
    url.search === '' &&
    url.hash === '' &&
    GOOGLE_HOST(service).test(url.hostname) &&
    path.test(url.pathname);
  if (!fits) throw refuse(`must name an address of ${service}.googleapis.com as its ${member}`);
  return url.href;
}

function subjectTokenSource(source: Record<string, unknown>, policy: GcpSubjectTokenPolicy): GcpSubjectTokenSource {
  for (const member of ['executable', 'environment_id', 'certificate'] as const) {
    // A program to run, the metadata service of this machine, a private key of this machine.
    if (source[member] !== undefined) throw refuse(`must not name a credential_source of the kind ${member}`);
  }
  const { file, url } = source;
  const format = formatOf(source['format']);
  if (typeof file === 'string' && url === undefined) {
    if (!(policy.files ?? []).includes(file)) throw refuse('names a file as its credential_source that this installation does not offer');
    return { file, ...(format && { format }) };
  }
  if (typeof url === 'string' && file === undefined) {
    const origin = URL.canParse(url) ? new URL(url).origin : '';
    if (!(policy.origins ?? []).includes(origin))
      throw refuse('names a URL as its credential_source that this installation does not offer');
    const headers = Object.entries(objectOf(source['headers']) ?? {}).filter(
      (entry): entry is [string, string] => typeof entry[1] === 'string',
    );
    return { url, ...(headers.length > 0 && { headers: Object.fromEntries(headers) }), ...(format && { format }) };
  }
  throw refuse('needs a credential_source that is either a file or a URL');
}

function formatOf(value: unknown): GcpSubjectTokenSource['format'] {
  const format = objectOf(value);
  if (format === null) return undefined;
  const { type, subject_token_field_name: name } = format;
  if (type === 'text') return { type };
  if (type === 'json' && typeof name === 'string') return { type, subject_token_field_name: name };
  throw refuse("needs a credential_source whose format is 'text', or 'json' with a subject_token_field_name");
}

function text(document: Record<string, unknown>, member: string): string {
  const value = document[member];
  if (typeof value !== 'string' || value === '') throw refuse(`needs a ${member}`);
  return value;
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    // The parser's words quote the document.
    return null;
  }
}

const objectOf = (value: unknown): Record<string, unknown> | null =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null;
