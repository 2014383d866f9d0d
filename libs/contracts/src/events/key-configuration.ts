import { z } from 'zod';
import { defineEvent } from '../event.js';
import { ObjectIdSchema, TimestampSchema } from '../ids.js';
import { topics } from '../topics.js';
import {
  DefinitiveReasonSchema,
  EnforcementModeSchema,
  KeyProviderNameSchema,
  TransientReasonSchema,
  ValidityStateSchema,
} from '../vocabulary.js';

/** One observation of a customer key. Holds no secret: names, codes and request ids only. */
export const EvidenceSchema = z.object({
  verdict: z.enum(['usable', 'definitive', 'transient']),
  reason: z.union([DefinitiveReasonSchema, TransientReasonSchema]).nullable(),
  /** The provider's own error class, e.g. "DisabledException". */
  errorName: z.string().nullable(),
  /** The provider's own words, cut to 500 characters. */
  message: z.string().nullable(),
  httpStatus: z.int().nullable(),
  requestId: z.string().nullable(),
  at: TimestampSchema,
  /** Which replica of kms-validation saw it. */
  observer: z.string(),
});
export type Evidence = z.infer<typeof EvidenceSchema>;

/** Kinds of findings that a person should look at and that never stop a database. */
export const ATTENTION_KINDS = ['UNCLASSIFIED_ERROR', 'KEY_UNAVAILABLE', 'ALIAS_MOVED', 'WRAP_REFUSED'] as const;

/** Something a check met that a person should look at. Holds no secret. */
export const AttentionSchema = z.object({
  kind: z.enum(ATTENTION_KINDS),
  /** What was seen and what to do about it, for people. */
  detail: z.string(),
  at: TimestampSchema,
});
export type Attention = z.infer<typeof AttentionSchema>;

/** A key configuration as other services may remember it. Never holds credentials. */
export const KeyConfigurationStateSchema = z.object({
  id: ObjectIdSchema,
  projectId: ObjectIdSchema,
  provider: KeyProviderNameSchema,
  /** False after encryption at rest was turned off for this provider. */
  enabled: z.boolean(),
  state: ValidityStateSchema,
  mode: EnforcementModeSchema,
  /** The key as the customer named it. */
  keyId: z.string(),
  /** The key as the provider names it, e.g. its ARN. */
  resolvedKeyId: z.string().nullable(),
  region: z.string().nullable(),
  /**
   * Grows with each other customer key, beginning with 1: what is wrapped from then on belongs to a new epoch of snapshots. Events from before there
   * were any have none.
   */
  epoch: z.int().positive().optional(),
  /** The observations that led to the current state, oldest first. */
  evidence: z.array(EvidenceSchema),
  invalidSince: TimestampSchema.nullable(),
  unreachableSince: TimestampSchema.nullable(),
  lastProvenAt: TimestampSchema.nullable(),
  /** Only on `attention-needed`: what a person should look at. */
  attention: AttentionSchema.optional(),
  /** Grows with every event of this configuration; two events never share one. */
  revision: z.int().nonnegative(),
});
export type KeyConfigurationState = z.infer<typeof KeyConfigurationStateSchema>;

const event = (name: string, description: string) =>
  defineEvent<KeyConfigurationState>({
    type: `io.atrest.key-configuration.${name}.v1`,
    topic: topics.keyConfigurations,
    schema: KeyConfigurationStateSchema,
    description,
    subjectOf: (configuration) => configuration.id,
  });

export const keyConfigurationSaved = event('saved', 'A key configuration was proven and stored, or changed.');
export const keyConfigurationRemoved = event('removed', 'Encryption at rest was turned off for this provider.');
export const keyConfigurationInvalidated = event(
  'invalidated',
  'The customer key is definitively not usable, confirmed by re-checks: affected clusters are disabled.',
);
export const keyConfigurationValidated = event('validated', 'The customer key is usable again: affected clusters are enabled.');
export const keyConfigurationUnreachable = event(
  'became-unreachable',
  'The KMS could not be asked for longer than the grace period. Nothing is stopped.',
);
export const keyConfigurationReachable = event('became-reachable', 'The KMS answers again after it was unreachable.');
export const keyConfigurationAttentionNeeded = event(
  'attention-needed',
  'A check met something a person should look at (an unclassified error, an alias that moved, a refused wrap). Nothing is stopped.',
);
