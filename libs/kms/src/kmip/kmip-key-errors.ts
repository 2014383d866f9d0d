import { CryptographicAlgorithm, nameOf, ObjectType, State } from '@atrest/kmip';
import { KmsError } from '../errors.js';

/** The key is there and in a state in which it may not be used. */
export class KmipKeyStateError extends KmsError {
  readonly code = 'KMS.KMIP_KEY_STATE';

  constructor(
    keyId: string,
    /** A `State` of KMIP. */
    readonly state: number,
  ) {
    super(`The key ${keyId} is ${nameOf(State, state)}${state === State.PreActive ? ': activate it' : ''}.`);
  }
}

/** What the server keeps under this id is not a symmetric AES key of 256 bits in clear. */
export class KmipKeyTypeError extends KmsError {
  readonly code = 'KMS.KMIP_KEY_TYPE';

  constructor(
    keyId: string,
    found: { objectType?: number | undefined; algorithm?: number | undefined; length?: number | undefined; other?: string },
  ) {
    const parts = [
      found.objectType === undefined ? null : `object type ${nameOf(ObjectType, found.objectType)}`,
      found.algorithm === undefined ? null : `algorithm ${nameOf(CryptographicAlgorithm, found.algorithm)}`,
      found.length === undefined ? null : `${found.length} bits`,
      found.other ?? null,
    ];
    super(
      `The key ${keyId} is not a symmetric AES key of 256 bits that is given in clear: ${parts.filter((part) => part !== null).join(', ')}.`,
    );
  }
}

/** The key's material does not open the blob: another key, another context, or a damaged blob. */
export class KmipUnwrapError extends KmsError {
  readonly code = 'KMS.KMIP_NOT_UNWRAPPED';

  constructor(keyId: string) {
    super(`The material of the key ${keyId} does not open what is said to be wrapped with it.`);
  }
}
