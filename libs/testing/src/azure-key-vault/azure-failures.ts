import { randomUUID } from 'node:crypto';

/** An error answer of Key Vault. */
export class KeyVaultFailure extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly innerCode?: string,
  ) {
    super(message);
  }

  body(): object {
    const { code, message, innerCode } = this;
    return { error: { code, message, ...(innerCode !== undefined && { innererror: { code: innerCode } }) } };
  }
}

/** An error answer of Microsoft Entra's token endpoint. */
export class EntraFailure extends Error {
  constructor(
    /** The number after AADSTS. */
    readonly aadsts: number,
    /** OAuth's word, e.g. `invalid_client`. */
    readonly error: string,
    message: string,
    readonly status = error === 'invalid_client' ? 401 : 400,
  ) {
    super(message);
  }

  body(now: Date): object {
    const timestamp = now.toISOString().slice(0, 19).replace('T', ' ');
    const [traceId, correlationId] = [randomUUID(), randomUUID()];
    const description = `AADSTS${this.aadsts}: ${this.message} Trace ID: ${traceId} Correlation ID: ${correlationId} Timestamp: ${timestamp}Z`;
    return {
      error: this.error,
      error_description: description,
      error_codes: [this.aadsts],
      timestamp: `${timestamp}Z`,
      trace_id: traceId,
      correlation_id: correlationId,
      error_uri: `https://login.microsoftonline.com/error?code=${this.aadsts}`,
    };
  }
}
