export { KafkaTransport, type KafkaTransportOptions } from './kafka-transport.js';
export { toKafkaMessage } from './cloud-events.js';
export { ServiceRunningError } from './errors.js';
export { TopicMismatchError } from './topics.js';
