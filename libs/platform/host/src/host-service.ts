import { compileConfig, type Compiled, type ConfigFields } from '@atrest/platform-config';
import { createLogger } from '@atrest/platform-logging';
import { KafkaTransport } from '@atrest/platform-messaging-kafka';
import { Metrics } from '@atrest/platform-metrics';
import { runUntilSignal, withSecretFiles } from '@atrest/platform-process';
import type { Service, ServiceDependencies } from '@atrest/platform-service';
import { hostFields, httpTls, type HostConfiguration } from './host-fields.js';
import { kafkaSettings } from './kafka-settings.js';
import { ServiceHost } from './service-host.js';

/** A service as its app describes it. */
export interface ServiceDefinition<Fields extends ConfigFields, Options> {
  readonly name: string;
  /** Its own settings, beside {@link hostFields}. */
  readonly fields: Fields;
  /** Turns settings into what `create` takes. Throws for what can never work: that ends the process, while `create` is tried again. */
  readonly prepare: (configuration: Compiled<Fields> & HostConfiguration) => Options;
  readonly create: (dependencies: ServiceDependencies, options: Options) => Promise<Service>;
}

/** After requests were cut, handlers and batches under way still have this share of the time to stop. */
const DRAIN_SHARE = 0.6;

/** Runs a service in this process until a signal ends it. */
export function hostService<Fields extends ConfigFields, Options>(definition: ServiceDefinition<Fields, Options>): Promise<void> {
  const { name } = definition;
  return runUntilSignal(name, async () => {
    const fields = { ...hostFields, ...definition.fields };
    const configuration = compileConfig(fields, withSecretFiles(fields, process.env)) as Compiled<Fields> & HostConfiguration;
    const options = definition.prepare(configuration);
    const kafka = kafkaSettings(configuration);
    const tls = httpTls(configuration);
    const logger = createLogger({ service: name, level: configuration.ATREST_LOG_LEVEL });
    const stopLimitMs = configuration.ATREST_STOP_TIMEOUT;
    return {
      logger,
      stopLimitMs,
      start: () =>
        ServiceHost.start({
          name,
          create: (dependencies) => definition.create(dependencies, options),
          database: { url: configuration.ATREST_DATABASE_URL.reveal(), poolSize: configuration.ATREST_DATABASE_POOL_SIZE },
          transport: new KafkaTransport({ ...kafka, clientId: `atrest-${name}`, logger }),
          http: {
            host: configuration.ATREST_HTTP_HOST,
            port: configuration.ATREST_HTTP_PORT,
            publicUrl: configuration.ATREST_PUBLIC_URL,
            tls,
          },
          drainMs: stopLimitMs * DRAIN_SHARE,
          logger,
          metrics: new Metrics({ service: name, defaultMetrics: true }),
        }),
    };
  });
}
