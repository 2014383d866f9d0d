import { duration, integer, oneOf, optional, secret, text, url, type Compiled } from '@atrest/platform-config';
import { kafkaFields } from './kafka-settings.js';
import { readNamedFile } from './named-file.js';

/** What every service reads, whatever it does. */
export const hostFields = {
  ATREST_DATABASE_URL: secret({ description: "PostgreSQL, with the service's own role: `postgres://role:password@host:5432/atrest`" }),
  ATREST_DATABASE_POOL_SIZE: integer({
    min: 2,
    max: 200,
    default: 16,
    description: 'Connections at most, without the few that listen and relay',
  }),
  ATREST_HTTP_HOST: text({ default: '127.0.0.1', description: 'Address to listen on; `0.0.0.0` in a container' }),
  ATREST_HTTP_PORT: integer({ min: 0, max: 65_535, default: 8080, description: 'Port to listen on; 0 takes a free one' }),
  ATREST_HTTP_TLS_CERT: optional(text({ description: 'PEM file of the certificate chain; without it the service speaks plain HTTP' })),
  ATREST_HTTP_TLS_KEY: optional(text({ description: 'PEM file of the private key that belongs to the certificate' })),
  ATREST_PUBLIC_URL: url({
    protocols: ['http:', 'https:'],
    description: 'Address under which people and tools reach the API; issuer of access tokens, so the same for every service',
  }),
  ATREST_LOG_LEVEL: oneOf(['trace', 'debug', 'info', 'warn', 'error'], {
    default: 'info',
    description: 'Least severe log line that is written',
  }),
  ATREST_STOP_TIMEOUT: duration({
    min: '1s',
    max: '10m',
    default: '25s',
    description: 'How long requests and handlers may take to end after SIGTERM; below the patience of what sends SIGKILL',
  }),
  ...kafkaFields,
} as const;

export type HostConfiguration = Compiled<typeof hostFields>;

/** Certificate and key of the HTTP side, or undefined for plain HTTP. Throws ConfigError for half of them and for files that cannot be read. */
export function httpTls(
  configuration: Pick<HostConfiguration, 'ATREST_HTTP_TLS_CERT' | 'ATREST_HTTP_TLS_KEY'>,
): { readonly cert: Buffer; readonly key: Buffer } | undefined {
  const { ATREST_HTTP_TLS_CERT: cert, ATREST_HTTP_TLS_KEY: key } = configuration;
  if (cert === undefined && key === undefined) return undefined;
  return {
    cert: readNamedFile('ATREST_HTTP_TLS_CERT', cert, 'ATREST_HTTP_TLS_KEY'),
    key: readNamedFile('ATREST_HTTP_TLS_KEY', key, 'ATREST_HTTP_TLS_CERT'),
  };
}
