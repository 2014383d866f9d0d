import { z } from 'zod';
import { defineEvent, type EventDefinition } from '../event.js';
import { ObjectIdSchema, TimestampSchema } from '../ids.js';
import { topics } from '../topics.js';
import {
  AlertLevelSchema,
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
export const ATTENTION_KINDS = [
  'UNCLASSIFIED_ERROR',
  'KEY_UNAVAILABLE',
  'ALIAS_MOVED',
  'WRAP_REFUSED',
  'KEY_CONFIGURATION_MISSING',
] as const;

/** Something a check met that a person should look at. Holds no secret. */
export const AttentionSchema = z.object({
  kind: z.enum(ATTENTION_KINDS),
  /** What was seen and what to do about it, for people. */
  detail: z.string(),
  at: TimestampSchema,
});
export type Attention = z.infer<typeof AttentionSchema>;

/** A shutdown that is held because an unlikely share of all configurations turned invalid at once. */
export const HoldSchema = z.object({
  since: TimestampSchema,
  /** `RELEASED`: the next check that says the same stops the databases. `CANCELLED`: nothing is stopped until the key was usable again. */
  decision: z.enum(['PENDING', 'RELEASED', 'CANCELLED']),
  /** Until when somebody should have decided. */
  until: TimestampSchema,
  /** What happens then if nobody has: the databases are stopped, or the hold goes on and the operators are told again. */
  atTheEnd: z.enum(['STOP', 'HOLD']),
  /** The service account that decided. */
  decidedBy: z.string().nullable(),
});
export type Hold = z.infer<typeof HoldSchema>;

/** The key will stop being usable at a known time. */
export const KeyEndingSchema = z.object({
  kind: z.enum(['DELETION', 'EXPIRY']),
  at: TimestampSchema,
  /** 7, 3 or 1: the warning that this is. */
  daysLeft: z.int().nonnegative(),
  /** What to run to keep the key, filled in. */
  command: z.string(),
  explanation: z.string(),
});
export type KeyEnding = z.infer<typeof KeyEndingSchema>;

/** How old the key is in its present form. */
export const KeyRotationStateSchema = z.object({
  /** When it was last changed, by the project or by the provider. */
  rotatedAt: TimestampSchema,
  ageDays: z.int().nonnegative(),
  /** After so many days without a change somebody is reminded; null when nobody is. */
  reminderDays: z.int().positive().nullable(),
  /** The provider renews the key by itself. */
  automatic: z.boolean(),
});
export type KeyRotationState = z.infer<typeof KeyRotationStateSchema>;

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
  /** Only while HELD. */
  hold: HoldSchema.optional(),
  /** Only on `became-unreachable` and `unreachable-escalated`: who should hear of it now. */
  alertLevel: AlertLevelSchema.optional(),
  /** Only on `end-approaching` and `end-called-off`. */
  ending: KeyEndingSchema.optional(),
  /** Only on `rotation-due` and `rotated`. */
  rotation: KeyRotationStateSchema.optional(),
  /** The event type of the Atlas Admin API that this one is, where Atlas has one, e.g. `AWS_ENCRYPTION_KEY_NEEDS_ROTATION`. */
  atlasEventType: z.string().optional(),
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
export const keyConfigurationHeld = event(
  'held',
  'The customer key is definitively not usable, but so many others at the same time that the shutdown is held until a person has looked. Nothing is stopped.',
);
export const keyConfigurationHoldDecided = event('hold-decided', 'Somebody released a held shutdown, or cancelled it.');
export const keyConfigurationHoldOverdue = event('hold-overdue', 'Nobody has decided on a held shutdown in time; it stays held.');
export const keyConfigurationHoldEnded = event('hold-ended', 'The customer key of a held shutdown is usable again; nothing was stopped.');
export const keyConfigurationUnreachableEscalated = event(
  'unreachable-escalated',
  'The KMS cannot be asked for so long that more people should hear of it. Nothing is stopped.',
);
export const keyConfigurationPolicyChanged = event('policy-changed', "The project's validity policy changed, which may change the mode.");
export const keyConfigurationEndApproaching = event(
  'end-approaching',
  'The customer key will be deleted or expire in 7, 3 or 1 days. Nothing is stopped for it.',
);
export const keyConfigurationEndCalledOff = event('end-called-off', 'The customer key will not be deleted or expire as announced.');
export const keyConfigurationRotationDue = event('rotation-due', 'The customer key was not rotated for longer than the project wants.');
export const keyConfigurationRotated = event('rotated', 'The customer key was rotated, by the project or by the provider.');

/** Every event with the state of one key configuration: what a projection of them consumes. */
export const keyConfigurationEvents: readonly EventDefinition<KeyConfigurationState>[] = [
  keyConfigurationSaved,
  keyConfigurationRemoved,
  keyConfigurationInvalidated,
  keyConfigurationValidated,
  keyConfigurationUnreachable,
  keyConfigurationReachable,
  keyConfigurationAttentionNeeded,
  keyConfigurationHeld,
  keyConfigurationHoldDecided,
  keyConfigurationHoldOverdue,
  keyConfigurationHoldEnded,
  keyConfigurationUnreachableEscalated,
  keyConfigurationPolicyChanged,
  keyConfigurationEndApproaching,
  keyConfigurationEndCalledOff,
  keyConfigurationRotationDue,
  keyConfigurationRotated,
];

/** The breaker of this installation: shutdowns are held, because an unlikely share of all configurations turned invalid at once. */
export const BreakerIncidentSchema = z.object({
  id: ObjectIdSchema,
  openedAt: TimestampSchema,
  closedAt: TimestampSchema.nullable(),
  /** Configurations whose keys failed within one cycle when it opened, and all there were. */
  failing: z.int().nonnegative(),
  total: z.int().nonnegative(),
  /** The limits that were exceeded. */
  maxCount: z.int().positive(),
  maxShare: z.number(),
  revision: z.int().positive(),
});
export type BreakerIncident = z.infer<typeof BreakerIncidentSchema>;

const breakerEvent = (name: string, description: string) =>
  defineEvent<BreakerIncident>({
    type: `io.atrest.validity-breaker.${name}.v1`,
    topic: topics.keyConfigurations,
    schema: BreakerIncidentSchema,
    description,
    subjectOf: (incident) => incident.id,
  });

export const validityBreakerOpened = breakerEvent('opened', 'Shutdowns are held from now on; operators should look at once.');
export const validityBreakerClosed = breakerEvent('closed', 'Every held shutdown was decided on, or its key is usable again.');

/** The events of the breaker. */
export const validityBreakerEvents: readonly EventDefinition<BreakerIncident>[] = [validityBreakerOpened, validityBreakerClosed];
