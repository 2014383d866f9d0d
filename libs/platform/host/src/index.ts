export { hostFields, type HostConfiguration } from './host-fields.js';
export { hostService, type ServiceDefinition } from './host-service.js';
export { kafkaFields, kafkaSettings, type KafkaConfiguration, type KafkaSettings } from './kafka-settings.js';
export { ServiceHost, type ServiceHostOptions } from './service-host.js';
