import type { DefinitiveReason, TransientReason } from '@atrest/contracts';

/** What the provider said, fit for events, mails and logs: no secret, no ciphertext. */
export interface VerdictEvidence {
  /** The provider's own error class, e.g. "DisabledException"; null when the key was usable. */
  readonly errorName: string | null;
  /** The provider's own words, redacted and cut to `MAX_MESSAGE_LENGTH` characters. */
  readonly message: string | null;
  readonly httpStatus: number | null;
  readonly requestId: string | null;
}

export type UsableVerdict = { readonly kind: 'usable'; readonly reason: null } & VerdictEvidence;
export type DefinitiveVerdict = { readonly kind: 'definitive'; readonly reason: DefinitiveReason } & VerdictEvidence;
export type TransientVerdict = { readonly kind: 'transient'; readonly reason: TransientReason } & VerdictEvidence;

/**
 * What one attempt to use a customer key proved. Only `definitive` may ever lead to a stop, and only after confirmation;
 * `transient` means that nothing was learnt about the key.
 */
export type Verdict = UsableVerdict | DefinitiveVerdict | TransientVerdict;

/** The length the event contract allows for a provider's message. */
export const MAX_MESSAGE_LENGTH = 500;

const NO_EVIDENCE: VerdictEvidence = { errorName: null, message: null, httpStatus: null, requestId: null };

export const usable = (evidence: Partial<VerdictEvidence> = {}): UsableVerdict => ({
  kind: 'usable',
  reason: null,
  ...NO_EVIDENCE,
  ...evidence,
});

export const definitive = (reason: DefinitiveReason, evidence: Partial<VerdictEvidence> = {}): DefinitiveVerdict => ({
  kind: 'definitive',
  reason,
  ...NO_EVIDENCE,
  ...evidence,
});

export const transient = (reason: TransientReason, evidence: Partial<VerdictEvidence> = {}): TransientVerdict => ({
  kind: 'transient',
  reason,
  ...NO_EVIDENCE,
  ...evidence,
});
