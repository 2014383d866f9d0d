const HIDDEN = '***';

/**
 * Names whose value is never logged, wherever they are nested, in whatever style they are written (`client_secret`, `X-Api-Key`,
 * `secretAccessKey`). Matched against the name in lower case without separators.
 */
const SECRET_NAME =
  /secret|passw|passphrase|credential|token|authorization|accesskeyid|privatekey|apikey|serviceaccountkey|cookie|enrolmentcode|keymaterial/;

/** What looks like a secret inside a text, whatever the text is about. */
const SECRET_PATTERNS: readonly (readonly [pattern: RegExp, replacement: string])[] = [
  [/\bmdb_sa_sk_[\w-]+/g, `mdb_sa_sk_${HIDDEN}`],
  [/\b(AKIA|ASIA|AROA|AIDA)[0-9A-Z]{12,}/g, `$1${HIDDEN}`],
  [/\b(bearer|basic)\s+[\w.~+/=-]{6,}/gi, `$1 ${HIDDEN}`],
  // A JWT or JWS has three parts; a JWE has five, of which some may be empty.
  [/\beyJ[\w-]{6,}(?:(?:\.[\w-]*){4}|\.[\w-]+(?:\.[\w-]*)?)/g, HIDDEN],
  [/-----BEGIN ([A-Z ]*PRIVATE KEY)-----[\s\S]*?(?:-----END \1-----|$)/g, `-----BEGIN $1-----${HIDDEN}`],
  // The password of a connection string.
  [/([a-z][a-z0-9+.-]*:\/\/[^\s:/@"']*):[^\s/"']+@/gi, `$1:${HIDDEN}@`],
  // name=value and "name": "value" inside a text, e.g. a form body or a JSON document in an error message.
  [
    /\b((?:secret_?access_?key|client_?secret|password|passwd|passphrase|(?:access|refresh|session|security|enrolment)_?token|private_?key|api_?key|x-amz-(?:security-token|credential|signature))\\?["']?\s*[:=]\s*\\?["']?)[^\s"'&,;}\\]+/gi,
    `$1${HIDDEN}`,
  ],
];

/** The text with everything that looks like a secret replaced. */
export function redactText(text: string): string {
  let redacted = text;
  for (const [pattern, replacement] of SECRET_PATTERNS) redacted = redacted.replace(pattern, replacement);
  return redacted;
}

/** A copy of a JSON value without secrets: by name at any depth, by pattern in any text, and without raw bytes. */
export function redactValue(value: unknown): unknown {
  if (typeof value === 'string') return redactText(value);
  if (Array.isArray(value)) return value.map(redactValue);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value);
  if ('type' in value && value.type === 'Buffer' && 'data' in value) return '[bytes]';
  return Object.fromEntries(entries.map(([name, content]) => [name, isSecret(name, content) ? HIDDEN : redactValue(content)]));
}

function isSecret(name: string, content: unknown): boolean {
  // Whether there is a secret may be told: `hasToken: true`, `secret: null`.
  if (typeof content === 'boolean' || content === null) return false;
  return SECRET_NAME.test(name.toLowerCase().replaceAll(/[^a-z0-9]/g, ''));
}
