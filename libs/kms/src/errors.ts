/** Errors of this library. Errors of a provider are never wrapped: their names and codes are the evidence. */
export abstract class KmsError extends Error {
  abstract readonly code: string;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The blob belongs to another provider, mechanism or context; nothing was asked of the provider. */
export class WrappedBlobRefusedError extends KmsError {
  readonly code = 'KMS.BLOB_REFUSED';

  constructor(
    readonly field: 'format' | 'provider' | 'mechanism' | 'context' | 'ciphertext' | 'resolvedKeyId',
    expected: string,
  ) {
    super(`The wrapped blob is not for this call: its ${field} is not ${expected}.`);
  }
}

/** The caller broke the port's contract, e.g. more bytes than `MAX_PLAINTEXT_BYTES`. */
export class KmsUsageError extends KmsError {
  readonly code = 'KMS.USAGE';
}

/** A project's setting cannot be right, whatever the provider would say: nothing was asked of it. Says the field and the rule, never the value. */
export class KeySettingsRefusedError extends KmsError {
  readonly code = 'KMS.SETTINGS_REFUSED';

  constructor(
    /** The field as the Atlas Admin API names it, e.g. `keyVersionResourceID`. */
    readonly field: string,
    /** What the field must be or must not have, as the end of a sentence that begins with its name. */
    readonly rule: string,
  ) {
    super(`${field} ${rule}.`);
  }
}

/** The provider answered with bytes that differ from the checksum beside them: damaged on the way. */
export class ChecksumMismatchError extends KmsError {
  readonly code = 'KMS.CHECKSUM_MISMATCH';

  constructor(operation: string, field: string) {
    super(`In the answer to ${operation}, ${field} does not fit its checksum.`);
  }
}

/** The provider answered with success but without a part of the answer that its contract promises. */
export class IncompleteAnswerError extends KmsError {
  readonly code = 'KMS.INCOMPLETE_ANSWER';

  constructor(operation: string, missing: string) {
    super(`The answer to ${operation} has no ${missing}.`);
  }
}

/** The provider unwrapped the blob, but it was wrapped for another context: it was moved here. */
export class BlobNotAuthenticError extends KmsError {
  readonly code = 'KMS.BLOB_NOT_AUTHENTIC';

  constructor() {
    super('The blob was unwrapped, but it was not wrapped for this project and purpose.');
  }
}

/** Our own limit for the provider's account and region is used up for longer than a check may wait. */
export class CallLimitError extends KmsError {
  readonly code = 'KMS.CALL_LIMIT';

  constructor(
    readonly bucket: string,
    readonly waitMs: number,
  ) {
    super(`The call limit of ${bucket} is used up for another ${waitMs} ms.`);
  }
}
