import {
  ConfigError,
  duration,
  flag,
  integer,
  oneOf,
  optional,
  secret,
  text,
  url,
  type Compiled,
  type ConfigProblem,
} from '@atrest/platform-config';
import type { KafkaTransportOptions } from '@atrest/platform-messaging-kafka';
import type { SASLOptions } from 'kafkajs';
import { mskIamTokens, oauthTokens } from './kafka-tokens.js';
import { readNamedFile } from './named-file.js';

/** How a service reaches Apache Kafka. */
export const kafkaFields = {
  ATREST_KAFKA_BROKERS: text({
    pattern: /^[^\s,:]+:\d{1,5}(,[^\s,:]+:\d{1,5})*$/,
    description: 'Brokers to begin with, `host:port`, separated by commas',
  }),
  ATREST_KAFKA_REPLICATION_FACTOR: optional(
    integer({ min: 1, max: 15, description: "Copies of each topic that Atrest creates; the broker's default when not set" }),
  ),
  ATREST_KAFKA_SESSION_TIMEOUT: duration({
    min: '1s',
    max: '30m',
    default: '30s',
    description: 'How long Kafka waits for a replica that ended without a word before others get its partitions; brokers limit it',
  }),
  ATREST_KAFKA_TLS: flag({ default: false, description: 'Encrypt connections to the brokers and verify their certificates' }),
  ATREST_KAFKA_TLS_CA: optional(text({ description: "PEM file of the brokers' authorities, in place of the well-known ones" })),
  ATREST_KAFKA_TLS_CERT: optional(text({ description: 'PEM file of a client certificate, where brokers ask for one' })),
  ATREST_KAFKA_TLS_KEY: optional(text({ description: 'PEM file of the private key that belongs to the client certificate' })),
  ATREST_KAFKA_SASL_MECHANISM: optional(
    oneOf(['scram-sha-256', 'scram-sha-512', 'oauthbearer', 'aws-msk-iam'], { description: 'How to log in; not at all when not set' }),
  ),
  ATREST_KAFKA_SASL_USERNAME: optional(text({ description: 'For SCRAM' })),
  ATREST_KAFKA_SASL_PASSWORD: secret({ optional: true, description: 'For SCRAM' }),
  ATREST_KAFKA_OAUTH_TOKEN_URL: optional(
    url({
      protocols: ['http:', 'https:'],
      description: 'For OAUTHBEARER: token endpoint of the authorisation server (client credentials)',
    }),
  ),
  ATREST_KAFKA_OAUTH_CLIENT_ID: optional(text({ description: 'For OAUTHBEARER' })),
  ATREST_KAFKA_OAUTH_CLIENT_SECRET: secret({ optional: true, description: 'For OAUTHBEARER' }),
  ATREST_KAFKA_OAUTH_SCOPE: optional(text({ description: 'For OAUTHBEARER, when the authorisation server wants one' })),
  ATREST_KAFKA_AWS_REGION: optional(
    text({ description: "For MSK IAM: the cluster's region. Credentials come from where AWS's tools find them" }),
  ),
} as const;

export type KafkaConfiguration = Compiled<typeof kafkaFields>;

/** What the transport is told. */
export type KafkaSettings = Pick<KafkaTransportOptions, 'brokers' | 'ssl' | 'sasl' | 'replicationFactor' | 'sessionTimeoutMs'>;

/** @throws ConfigError naming every setting that another one makes necessary, and files that cannot be read */
export function kafkaSettings(configuration: KafkaConfiguration): KafkaSettings {
  const sasl = saslOf(configuration);
  const ssl = sslOf(configuration);
  const replicationFactor = configuration.ATREST_KAFKA_REPLICATION_FACTOR;
  return {
    brokers: configuration.ATREST_KAFKA_BROKERS.split(','),
    sessionTimeoutMs: configuration.ATREST_KAFKA_SESSION_TIMEOUT,
    ...(ssl !== undefined && { ssl }),
    ...(sasl !== undefined && { sasl }),
    ...(replicationFactor !== undefined && { replicationFactor }),
  };
}

function sslOf(configuration: KafkaConfiguration): KafkaTransportOptions['ssl'] {
  const { ATREST_KAFKA_TLS_CA: ca, ATREST_KAFKA_TLS_CERT: cert, ATREST_KAFKA_TLS_KEY: key } = configuration;
  if (!configuration.ATREST_KAFKA_TLS) {
    // Somebody who names an authority means an encrypted connection; an open one would be a bad surprise.
    if (ca !== undefined || cert !== undefined || key !== undefined) {
      throw new ConfigError([
        { variable: 'ATREST_KAFKA_TLS', rule: 'must be true when a certificate or an authority is named. Set it, or remove those.' },
      ]);
    }
    return undefined;
  }
  const named = (variable: 'ATREST_KAFKA_TLS_CA' | 'ATREST_KAFKA_TLS_CERT' | 'ATREST_KAFKA_TLS_KEY', partner: string) =>
    readNamedFile(variable, configuration[variable], partner);
  return {
    ...(ca !== undefined && { ca: named('ATREST_KAFKA_TLS_CA', 'ATREST_KAFKA_TLS') }),
    ...((cert !== undefined || key !== undefined) && {
      cert: named('ATREST_KAFKA_TLS_CERT', 'ATREST_KAFKA_TLS_KEY'),
      key: named('ATREST_KAFKA_TLS_KEY', 'ATREST_KAFKA_TLS_CERT'),
    }),
  };
}

function saslOf(configuration: KafkaConfiguration): SASLOptions | undefined {
  const mechanism = configuration.ATREST_KAFKA_SASL_MECHANISM;
  switch (mechanism) {
    case undefined:
      return undefined;
    case 'scram-sha-256':
    case 'scram-sha-512': {
      const needed = demand(configuration, mechanism, ['ATREST_KAFKA_SASL_USERNAME', 'ATREST_KAFKA_SASL_PASSWORD']);
      return { mechanism, username: needed.ATREST_KAFKA_SASL_USERNAME, password: needed.ATREST_KAFKA_SASL_PASSWORD.reveal() };
    }
    case 'oauthbearer': {
      const needed = demand(configuration, mechanism, [
        'ATREST_KAFKA_OAUTH_TOKEN_URL',
        'ATREST_KAFKA_OAUTH_CLIENT_ID',
        'ATREST_KAFKA_OAUTH_CLIENT_SECRET',
      ]);
      const oauthBearerProvider = oauthTokens({
        tokenUrl: needed.ATREST_KAFKA_OAUTH_TOKEN_URL,
        clientId: needed.ATREST_KAFKA_OAUTH_CLIENT_ID,
        clientSecret: needed.ATREST_KAFKA_OAUTH_CLIENT_SECRET,
        scope: configuration.ATREST_KAFKA_OAUTH_SCOPE,
      });
      return { mechanism, oauthBearerProvider };
    }
    case 'aws-msk-iam': {
      const { ATREST_KAFKA_AWS_REGION: region } = demand(configuration, mechanism, ['ATREST_KAFKA_AWS_REGION']);
      if (!configuration.ATREST_KAFKA_TLS) {
        throw new ConfigError([{ variable: 'ATREST_KAFKA_TLS', rule: 'must be true: MSK takes IAM over TLS only.' }]);
      }
      return { mechanism: 'oauthbearer', oauthBearerProvider: mskIamTokens(region) };
    }
  }
}

function demand<Name extends keyof KafkaConfiguration>(
  configuration: KafkaConfiguration,
  mechanism: string,
  names: readonly Name[],
): { readonly [N in Name]: NonNullable<KafkaConfiguration[N]> } {
  const problems: ConfigProblem[] = names
    .filter((name) => configuration[name] === undefined)
    .map((variable) => ({ variable, rule: `is not set, but ATREST_KAFKA_SASL_MECHANISM is ${mechanism}. Set it.` }));
  if (problems.length > 0) throw new ConfigError(problems);
  return configuration as { readonly [N in Name]: NonNullable<KafkaConfiguration[N]> };
}
