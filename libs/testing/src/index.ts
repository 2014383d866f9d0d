export { DevelopmentKms, type Credentials, type DevelopmentKmsOptions, type KmsCall } from './development-kms/development-kms.js';
export type { Fault } from './development-kms/faults.js';
export type { AzureFault, AzureOperation } from './azure-key-vault/azure-faults.js';
export type { AzureEnvironmentName } from './azure-key-vault/azure-hosts.js';
export { DevelopmentKeyVault, type DevelopmentRoute, type KeyVaultCall } from './azure-key-vault/development-key-vault.js';
export type { ApplicationCredentials, EntraDirectory } from './azure-key-vault/entra-directory.js';
export type { NewKeyVersion } from './azure-key-vault/key-vault-store.js';
export type { VaultDenial, VaultRefusal } from './azure-key-vault/vault-access.js';
export type { GoogleCloudFault } from './google-cloud-kms/faults.js';
export type { DevelopmentGoogleCloudKms, DevelopmentGoogleCloudKmsOptions, GoogleCloudCall } from './google-cloud-kms/google-cloud-kms.js';
export { startDevelopmentGoogleCloudKms } from './google-cloud-kms/start.js';
export { faultScale } from './fault-scale.js';
export { FakeKeyProvider, FakeKms, FakeKmsError } from './fake-key-provider.js';
export { DevelopmentKmipServer, type DevelopmentKmipServerOptions, type KmipCall } from './kmip-server/development-kmip-server.js';
export { KmipAuthority, type KmipCredentials } from './kmip-server/kmip-authority.js';
export type { AnswerFault, ConnectionFault, KmipFault } from './kmip-server/kmip-faults.js';
export type { KmipStateName, NewKey, StoredKey } from './kmip-server/kmip-key-store.js';
export { pykmipAvailable, PykmipServer } from './kmip-server/pykmip/pykmip-server.js';
export { testDatabase, testPostgres, type TestDatabase } from './postgres/test-postgres.js';
export { waitFor, type WaitForOptions } from './postgres/wait-for.js';
export type { CaughtMail } from './mail-catcher/caught-mail.js';
export { MailCatcher, type MailCatcherOptions, type SmtpRefusal } from './mail-catcher/mail-catcher.js';
export {
  MongodSimControl,
  MongodSimControlError,
  simExecutables,
  type SimExecutables,
  type SimFault,
  type SimFaultKind,
} from './mongod-sim/index.js';
export { processEnd, sourceProcess } from './process/source-process.js';
export { KafkaBroker, type KafkaBrokerOptions } from './kafka/kafka-broker.js';
export { DEFAULT_KAFKA_VERSION, kafkaDistribution, KafkaNotAvailableError, kafkaVersion } from './kafka/kafka-distribution.js';
export type { KafkaClientFiles, KafkaLogins } from './kafka/kafka-logins.js';
export { kafkaAvailable, KAFKA_START_LIMIT_MS, testKafka, type TestKafka } from './kafka/test-kafka.js';
export { partAvailable, PartMissingError, type PartName } from './parts.js';
export { DevelopmentS3, type S3Faults } from './development-s3/development-s3.js';
export { type S3AccessKey } from './development-s3/signature.js';
