import type { Doc } from '../bson-values.js';

/** Names of the error codes this stand-in answers with. */
const NAMES: Record<number, string> = {
  2: 'BadValue',
  6: 'HostUnreachable',
  8: 'UnknownError',
  9: 'FailedToParse',
  11: 'UserNotFound',
  13: 'Unauthorized',
  14: 'TypeMismatch',
  18: 'AuthenticationFailed',
  20: 'IllegalOperation',
  23: 'AlreadyInitialized',
  26: 'NamespaceNotFound',
  27: 'IndexNotFound',
  31: 'RoleNotFound',
  43: 'CursorNotFound',
  48: 'NamespaceExists',
  50: 'MaxTimeMSExpired',
  59: 'CommandNotFound',
  64: 'WriteConcernFailed',
  66: 'ImmutableField',
  70: 'ShardNotFound',
  72: 'InvalidOptions',
  73: 'InvalidNamespace',
  74: 'NodeNotFound',
  76: 'NoReplicationEnabled',
  79: 'UnknownReplWriteConcern',
  91: 'ShutdownInProgress',
  93: 'InvalidReplicaSetConfig',
  94: 'NotYetInitialized',
  95: 'NotSecondary',
  96: 'OperationFailed',
  100: 'UnsatisfiableWriteConcern',
  103: 'NewReplicaSetConfigurationIncompatible',
  109: 'ConfigurationInProgress',
  125: 'CommandFailed',
  133: 'FailedToSatisfyReadPreference',
  136: 'CappedPositionLost',
  186: 'CommandNotSupportedOnView',
  189: 'PrimarySteppedDown',
  193: 'NoShardingEnabled',
  211: 'KeyNotFound',
  262: 'ExceededTimeLimit',
  303: 'APIMismatchError',
  334: 'MechanismUnavailable',
  10107: 'NotWritablePrimary',
  11000: 'DuplicateKey',
  11600: 'InterruptedAtShutdown',
  11602: 'InterruptedDueToReplStateChange',
  13435: 'NotPrimaryNoSecondaryOk',
  13436: 'NotPrimaryOrSecondary',
  40415: 'Location40415',
};

/** The name mongod gives a code; codes without a name are `Location<code>`. */
export function codeName(code: number): string {
  return NAMES[code] ?? `Location${code}`;
}

/** An error that the client gets as a reply with `ok: 0`. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  constructor(
    /** Some errors of mongod have none. */
    readonly code: number | undefined,
    message: string,
    readonly extra: Doc = {},
  ) {
    super(message);
  }

  toReply(): Doc {
    const code = this.code === undefined ? {} : { code: this.code, codeName: codeName(this.code) };
    return { ok: 0, errmsg: this.message, ...code, ...this.extra };
  }
}
