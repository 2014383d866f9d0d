import { duration, integer, oneOf, text, url } from '@atrest/platform-config';

const upstream = (service: string) => url({ protocols: ['http:'], description: `Where the service ${service} listens` });

/** What the ingress reads. */
export const ingressFields = {
  ATREST_HTTP_HOST: text({ default: '127.0.0.1', description: 'Address to listen on; `0.0.0.0` in a container' }),
  ATREST_HTTP_PORT: integer({ min: 0, max: 65_535, default: 8080, description: 'Port to listen on; 0 takes a free one' }),
  ATREST_FLEET_URL: upstream('fleet'),
  ATREST_KMS_VALIDATION_URL: upstream('kms-validation'),
  ATREST_NOTIFICATION_URL: upstream('notification'),
  ATREST_RESTORE_EXECUTION_URL: upstream('restore-execution'),
  ATREST_SNAPSHOT_CATALOG_URL: upstream('snapshot-catalog'),
  ATREST_LOG_LEVEL: oneOf(['trace', 'debug', 'info', 'warn', 'error'], {
    default: 'info',
    description: 'Least severe log line that is written',
  }),
  ATREST_STOP_TIMEOUT: duration({ min: '1s', max: '10m', default: '20s', description: 'How long requests may take to end after SIGTERM' }),
} as const;
