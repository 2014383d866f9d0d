import { compileConfig } from '@atrest/platform-config';
import { createLogger } from '@atrest/platform-logging';
import { runUntilSignal, withSecretFiles } from '@atrest/platform-process';
import { ingressFields } from './configuration.js';
import { Ingress } from './ingress.js';

await runUntilSignal('ingress', async () => {
  const configuration = compileConfig(ingressFields, withSecretFiles(ingressFields, process.env));
  const logger = createLogger({ service: 'ingress', level: configuration.ATREST_LOG_LEVEL });
  const stopLimitMs = configuration.ATREST_STOP_TIMEOUT;
  return {
    logger,
    stopLimitMs,
    start: async () => {
      const ingress = await Ingress.start({
        host: configuration.ATREST_HTTP_HOST,
        port: configuration.ATREST_HTTP_PORT,
        upstreams: {
          fleet: configuration.ATREST_FLEET_URL,
          'kms-validation': configuration.ATREST_KMS_VALIDATION_URL,
          notification: configuration.ATREST_NOTIFICATION_URL,
          'restore-execution': configuration.ATREST_RESTORE_EXECUTION_URL,
          'snapshot-catalog': configuration.ATREST_SNAPSHOT_CATALOG_URL,
        },
        logger,
      });
      logger.info({ port: ingress.port }, 'listening');
      // Long polls would hold the end up; agents poll again.
      return { stop: () => ingress.close(stopLimitMs / 2) };
    },
  };
});
