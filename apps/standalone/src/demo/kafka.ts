import { readServicesConfiguration } from '../services/configuration.js';
import { ServiceProcesses } from '../services/service-processes.js';
import { demoProgram } from './run-demo.js';

await demoProgram({
  parts: 'PostgreSQL, Apache Kafka, each service in a process of its own, an ingress, an agent, a development KMS, a mailbox',
  start: (variables, logger) => {
    const brokers = process.env['KAFKA_BROKERS'];
    const environment = { ...variables, ...(brokers !== undefined && { KAFKA_BROKERS: brokers }) };
    return ServiceProcesses.start({ configuration: readServicesConfiguration(environment), environment, logger });
  },
});
