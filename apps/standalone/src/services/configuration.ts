import { operatorFields } from '@atrest/kms-validation';
import { compileConfig, optional, text, type Compiled } from '@atrest/platform-config';
import { standaloneFields } from '../configuration.js';

const {
  ATREST_HTTP_PORT,
  ATREST_LOG_LEVEL,
  ATREST_MAIL_RETRY,
  ATREST_MAIL_FROM,
  ATREST_OPERATOR_ADDRESS,
  ATREST_AGENT_PORTS,
  ATREST_SNAPSHOT_STORE,
  ATREST_MONGOD_DOWNLOAD,
  ATREST_STOP_KILL_AFTER,
  ATREST_ON_EXIT,
} = standaloneFields;

/** Keys in AWS are asked for at the development KMS, which knows the endpoint by itself. */
const { ATREST_AWS_KMS_ENDPOINT: _, ...handedToKmsValidation } = operatorFields;

/** What `npm run services` reads. What belongs to one service is handed on to it. */
export const servicesFields = {
  ATREST_DATA_DIR: text({
    default: '.atrest/services',
    description: "Folder that keeps everything: PostgreSQL, Kafka, each service's secrets, logs, data paths and snapshots of the agent",
  }),
  KAFKA_BROKERS: optional(
    text({ description: 'Apache Kafka to use, `host:port,…`; when not set one is fetched and started (needs Java 17 and Maven)' }),
  ),
  ATREST_HTTP_PORT,
  ATREST_LOG_LEVEL,
  ...handedToKmsValidation,
  ATREST_MAIL_RETRY,
  ATREST_MAIL_FROM,
  ATREST_OPERATOR_ADDRESS,
  ATREST_AGENT_PORTS,
  ATREST_SNAPSHOT_STORE,
  ATREST_MONGOD_DOWNLOAD,
  ATREST_STOP_KILL_AFTER,
  ATREST_ON_EXIT,
} as const;

export type ServicesConfiguration = Compiled<typeof servicesFields>;

/** @throws ConfigError naming every variable that is wrong and its rule, never a value. */
export function readServicesConfiguration(environment: NodeJS.ProcessEnv): ServicesConfiguration {
  return compileConfig(servicesFields, environment);
}

/** Variables of services that are handed on as they are written. */
export const HANDED_ON = [
  'ATREST_LOG_LEVEL',
  'ATREST_KAFKA_SESSION_TIMEOUT',
  ...Object.keys(handedToKmsValidation),
  'ATREST_MAIL_RETRY',
  'ATREST_OPERATOR_ADDRESS',
] as const;
