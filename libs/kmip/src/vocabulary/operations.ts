import type { KmipVersion } from './versions.js';

/** What is known of an operation besides its messages. */
export interface OperationFacts {
  readonly code: number;
  /** The version that brought it. */
  readonly since: KmipVersion;
  /** It changes nothing on the server, so it may be asked again when the answer was lost. */
  readonly safe: boolean;
}

const operation = (code: number, since: KmipVersion, safe = false): OperationFacts => ({ code, since, safe });

/** All operations of KMIP 1.0 to 1.4. Messages exist for those of `OperationName` in the messages layer. */
export const OPERATIONS = {
  Create: operation(0x01, '1.0'),
  CreateKeyPair: operation(0x02, '1.0'),
  Register: operation(0x03, '1.0'),
  ReKey: operation(0x04, '1.0'),
  DeriveKey: operation(0x05, '1.0'),
  Certify: operation(0x06, '1.0'),
  ReCertify: operation(0x07, '1.0'),
  Locate: operation(0x08, '1.0', true),
  Check: operation(0x09, '1.0', true),
  Get: operation(0x0a, '1.0', true),
  GetAttributes: operation(0x0b, '1.0', true),
  GetAttributeList: operation(0x0c, '1.0', true),
  AddAttribute: operation(0x0d, '1.0'),
  ModifyAttribute: operation(0x0e, '1.0'),
  DeleteAttribute: operation(0x0f, '1.0'),
  ObtainLease: operation(0x10, '1.0'),
  GetUsageAllocation: operation(0x11, '1.0'),
  Activate: operation(0x12, '1.0'),
  Revoke: operation(0x13, '1.0'),
  Destroy: operation(0x14, '1.0'),
  Archive: operation(0x15, '1.0'),
  Recover: operation(0x16, '1.0'),
  Validate: operation(0x17, '1.0', true),
  Query: operation(0x18, '1.0', true),
  Cancel: operation(0x19, '1.0'),
  Poll: operation(0x1a, '1.0'),
  Notify: operation(0x1b, '1.0'),
  Put: operation(0x1c, '1.0'),
  ReKeyKeyPair: operation(0x1d, '1.1'),
  DiscoverVersions: operation(0x1e, '1.1', true),
  Encrypt: operation(0x1f, '1.2', true),
  Decrypt: operation(0x20, '1.2', true),
  Sign: operation(0x21, '1.2', true),
  SignatureVerify: operation(0x22, '1.2', true),
  MAC: operation(0x23, '1.2', true),
  MACVerify: operation(0x24, '1.2', true),
  RNGRetrieve: operation(0x25, '1.2', true),
  RNGSeed: operation(0x26, '1.2'),
  Hash: operation(0x27, '1.2', true),
  CreateSplitKey: operation(0x28, '1.2'),
  JoinSplitKey: operation(0x29, '1.2'),
  Import: operation(0x2a, '1.4'),
  Export: operation(0x2b, '1.4', true),
} as const satisfies Readonly<Record<string, OperationFacts>>;

export type AnyOperationName = keyof typeof OPERATIONS;

const BY_CODE = new Map<number, AnyOperationName>(Object.entries(OPERATIONS).map(([name, { code }]) => [code, name as AnyOperationName]));

/** The operation with this code; undefined when KMIP 1.x has none. */
export const operationOf = (code: number): AnyOperationName | undefined => BY_CODE.get(code);
