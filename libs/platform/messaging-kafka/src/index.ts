export { KafkaTransport, type KafkaTransportOptions } from './kafka-transport.js';
export { TopicMismatchError } from './topics.js';
