/** An answer that is an error: name, HTTP status and words as AWS KMS sends them. */
export class KmsFailure extends Error {
  constructor(
    override readonly name: string,
    message: string,
    readonly status: number = 400,
  ) {
    super(message);
  }
}

export const validationFailure = (member: string, constraint: string): KmsFailure =>
  new KmsFailure('ValidationException', `1 validation error detected: Value at '${member}' failed to satisfy constraint: ${constraint}`);
