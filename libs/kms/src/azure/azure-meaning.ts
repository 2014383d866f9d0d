import type { DefinitiveReason, TransientReason } from '@atrest/contracts';

/** What an error means, and in which words it is told. */
export type AzureMeaning = ({ readonly definitive: DefinitiveReason } | { readonly transient: TransientReason }) & {
  /** Put before the provider's words, where these would be misread. */
  readonly hint?: string;
};
