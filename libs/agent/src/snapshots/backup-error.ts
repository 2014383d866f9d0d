import type { BackupFailure, BackupFailureCode } from '@atrest/contracts';

/** Work for a backup that failed for a reason we have a name for. The message is for people and holds no secret. */
export class BackupError extends Error {
  readonly code: BackupFailureCode;

  constructor(code: BackupFailureCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'BackupError';
    this.code = code;
  }
}

/** As the contract carries it. */
export const MAX_DETAIL = 2_000;

export const failure = (code: BackupFailureCode, detail: string): BackupFailure => ({ code, detail: detail.slice(0, MAX_DETAIL) });
