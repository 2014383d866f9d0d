import { operatorFields, operatorOptions } from '@atrest/kms-validation';
import { compileConfig, duration, flag, integer, oneOf, optional, secret, text, url, type Compiled } from '@atrest/platform-config';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

/** Every variable the standalone app reads. Each is optional: the defaults are a complete system on one machine. */
export const standaloneFields = {
  ATREST_DATA_DIR: text({
    default: '.atrest',
    description: 'Folder that keeps everything: PostgreSQL, secrets, data paths and snapshots of the local agent',
  }),
  ATREST_HTTP_HOST: text({ default: '127.0.0.1', description: 'Address the API listens on' }),
  ATREST_HTTP_PORT: integer({ min: 0, max: 65_535, default: 8080, description: 'Port of the API; 0 takes a free one' }),
  ATREST_PUBLIC_URL: optional(
    url({ protocols: ['http:', 'https:'], description: 'Address of the API in mails, when it differs from the one listened on' }),
  ),
  ATREST_LOG_LEVEL: oneOf(['trace', 'debug', 'info', 'warn', 'error'], {
    default: 'info',
    description: 'Least severe log line that is written',
  }),
  ATREST_DATABASE_URL: optional(secret({ description: 'PostgreSQL to use in place of the embedded one' })),
  ATREST_SEALING_KEYS: optional(
    secret({
      description:
        'Keys that seal credentials, current first: `k2:<base64 of 32 bytes>,k1:…`; made and kept in the data folder when absent',
    }),
  ),
  ...operatorFields,
  ATREST_DEVELOPMENT_KMS: flag({
    default: true,
    description: 'Start the development KMS when ATREST_AWS_KMS_ENDPOINT is not set; false uses the real AWS KMS',
  }),
  ATREST_SMTP_URL: optional(
    secret({ description: 'Mail server, `smtp://user:password@host:587`; without it mail is caught in the local mailbox page' }),
  ),
  ATREST_MAIL_RETRY: duration({
    min: 1000,
    max: 15 * MINUTE,
    default: 30_000,
    description: 'First pause after a mail could not be handed over; it doubles up to 15 minutes, for 5 days',
  }),
  ATREST_MAIL_FROM: text({ default: 'Atrest <atrest@localhost>', description: 'Sender of every mail' }),
  ATREST_OPERATOR_ADDRESS: optional(text({ description: 'Who is told when a project has no owner or a mail cannot be delivered' })),
  ATREST_AGENT: flag({ default: true, description: 'Run a local agent, so that clusters can be placed on this machine' }),
  ATREST_AGENT_PORTS: text({
    default: '27100-27199',
    pattern: /^\d{4,5}-\d{4,5}$/,
    description: 'Ports the local agent may give to mongod and mongos',
  }),
  ATREST_SNAPSHOT_STORE: optional(
    text({ description: 'Folder, which must exist, in which the local agent keeps snapshots; `snapshots` in the data folder when absent' }),
  ),
  ATREST_MONGOD_DOWNLOAD: flag({
    default: true,
    description: 'Fetch a mongod when none is installed; where that fails, mongod-sim is used',
  }),
  ATREST_STOP_KILL_AFTER: duration({
    min: 10_000,
    max: DAY,
    default: 10 * MINUTE,
    description: 'How long the local agent waits after SIGTERM before SIGKILL',
  }),
  ATREST_ON_EXIT: oneOf(['leave', 'stop'], {
    default: 'leave',
    description: "What happens to the local agent's processes when the app ends: left running and adopted at the next start, or stopped",
  }),
} as const;

export type StandaloneConfiguration = Compiled<typeof standaloneFields>;

/** @throws ConfigError naming every variable that is wrong and its rule, never a value; `ValidityPolicyError` for times that do not fit together. */
export function readConfiguration(environment: NodeJS.ProcessEnv): StandaloneConfiguration {
  const configuration = compileConfig(standaloneFields, environment);
  // Before anything starts: what is right by itself may not fit together. The address matters later.
  operatorOptions(configuration, 'http://localhost');
  return configuration;
}
