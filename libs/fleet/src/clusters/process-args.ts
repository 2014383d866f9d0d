/** Members of `processArgs` in every version. */
const SHARED = [
  'changeStreamOptionsPreAndPostImagesExpireAfterSeconds',
  'chunkMigrationConcurrency',
  'customOpensslCipherConfigTls12',
  'customOpensslCipherConfigTls13',
  'defaultMaxTimeMS',
  'defaultWriteConcern',
  'javascriptEnabled',
  'minimumEnabledTlsProtocol',
  'noTableScan',
  'oplogMinRetentionHours',
  'oplogSizeMB',
  'queryStatsLogVerbosity',
  'sampleRefreshIntervalBIConnector',
  'sampleSizeBIConnector',
  'tlsCipherConfigMode',
  'transactionLifetimeLimitSeconds',
] as const;

/** Gone since 2024-08-05. */
const OLD = ['defaultReadConcern', 'failIndexKeyTooLong'] as const;

const DEFAULTS: Readonly<Record<string, unknown>> = {
  customOpensslCipherConfigTls12: [],
  customOpensslCipherConfigTls13: [],
  javascriptEnabled: true,
  minimumEnabledTlsProtocol: 'TLS1_2',
  noTableScan: false,
  tlsCipherConfigMode: 'DEFAULT',
};

/** `processArgs` as a version shows them: a member without a value is null. */
export function renderProcessArgs(stored: Readonly<Record<string, unknown>>, version: string): Record<string, unknown> {
  const names: readonly string[] = version < '2024-08-05' ? [...SHARED, ...OLD] : SHARED;
  return Object.fromEntries(names.map((name) => [name, stored[name] ?? DEFAULTS[name] ?? null]));
}
