import pg from 'pg';
import { UnsafeIntegerError } from './errors.js';

const { INT8, DATE } = pg.types.builtins;

/** int8 as a number (throws beyond 2^53 instead of rounding), date as its text (it has no time zone), the rest as pg has it: timestamptz is a Date, json is parsed, numeric is text. */
const types: pg.CustomTypesConfig = {
  getTypeParser(oid: Parameters<typeof pg.types.getTypeParser>[0], format?: 'text' | 'binary') {
    if (format !== 'binary' && oid === INT8) return parseInt8;
    if (format !== 'binary' && oid === DATE) return (text: string) => text;
    return pg.types.getTypeParser(oid, format);
  },
};

function parseInt8(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new UnsafeIntegerError('A bigint column holds a value beyond 2^53. Select it as text.');
  return value;
}

/** Schema of a service: its name with `-` as `_`. */
export function schemaOf(service: string): string {
  const schema = service.replaceAll('-', '_');
  // It is written into SQL and connection options unquoted.
  if (!/^[a-z][a-z0-9_]{0,40}$/.test(schema))
    throw new Error(`'${service}' cannot name a schema: use lower-case letters, digits and dashes`);
  return schema;
}

/**
 * Server settings of every connection. The keepalives let the server find out within 25 s (10 + 3 × 5) that a client vanished without a
 * word, and release its advisory locks: half of that would drop clients in a short network hiccup, double would leave a service without
 * relay for a minute. A transaction that does nothing for a minute is a fault of ours (no handler waits that long inside of one) and would
 * hold its locks and keep VACUUM from cleaning.
 */
const SERVER_SETTINGS = {
  tcp_keepalives_idle: '10',
  tcp_keepalives_interval: '5',
  tcp_keepalives_count: '3',
  idle_in_transaction_session_timeout: '60000',
  timezone: 'UTC',
} as const;

/** Options of each connection of a service, pooled or not. */
export function connectionOptions(o: { url: string; schema: string; service: string }): pg.ClientConfig {
  const settings = Object.entries({ search_path: o.schema, ...SERVER_SETTINGS });
  return {
    connectionString: o.url,
    options: settings.map(([name, value]) => `-c ${name}=${value}`).join(' '),
    application_name: `atrest-${o.service}`,
    types,
    // Statements leave without waiting for the answers to those before them.
    pipeline: true,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    // Also bounds the wait for a free connection of the pool. A request that waited 10 s has nobody who still wants the answer.
    connectionTimeoutMillis: 10_000,
  };
}
