// Fetches Apache Kafka for the tests, unless KAFKA_BROKERS names one: once, into the cache outside of the tree, with verified checksums.
// Otherwise the first suite that needs it does, within the time of its test.
import { kafkaDistribution, KafkaNotAvailableError, kafkaVersion } from '@atrest/testing';

if (process.env['KAFKA_BROKERS'] === undefined) {
  try {
    console.log(`Apache Kafka ${kafkaVersion()}: ${await kafkaDistribution(kafkaVersion())}`);
  } catch (error) {
    if (!(error instanceof KafkaNotAvailableError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
