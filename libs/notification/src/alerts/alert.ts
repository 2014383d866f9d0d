import { KEY_PROVIDERS, type KeyConfigurationState, type KeyProviderName } from '@atrest/contracts';
import { unhandled } from '../unhandled.js';

export type AlertStatus = 'OPEN' | 'CLOSED' | 'CANCELLED';

const NETWORK = 'ENCRYPTION_AT_REST_KMS_NETWORK_ACCESS_DENIED';

/**
 * Event types as the Atlas Admin API names them; KMIP follows their pattern. `…_END_APPROACHING` is an extension in the same style: Atlas does not see
 * the end of a key before it comes.
 */
export type AlertEventType =
  `${KeyProviderName}_ENCRYPTION_KEY_${'INVALID' | 'NEEDS_ROTATION' | 'END_APPROACHING'}` | typeof NETWORK | BackupAlertType;

/**
 * What can be wrong with the backups of a cluster. The `…_PROOF_…` types are extensions in the same style: Atlas does not read its snapshots back.
 */
export const BACKUP_ALERT_TYPES = [
  'CPS_SNAPSHOT_FAILED',
  'CPS_SNAPSHOT_BEHIND',
  'CPS_PREV_SNAPSHOT_OLD',
  'CPS_SNAPSHOT_PROOF_FAILED',
  'CPS_SNAPSHOT_PROOF_OVERDUE',
] as const;
export type BackupAlertType = (typeof BACKUP_ALERT_TYPES)[number];

export const isBackupAlertType = (eventType: AlertEventType): eventType is BackupAlertType =>
  BACKUP_ALERT_TYPES.some((each) => each === eventType);

/** The event types that concern a key of this provider. */
export const alertTypesOf = (provider: KeyProviderName): readonly AlertEventType[] => [
  `${provider}_ENCRYPTION_KEY_INVALID`,
  `${provider}_ENCRYPTION_KEY_NEEDS_ROTATION`,
  `${provider}_ENCRYPTION_KEY_END_APPROACHING`,
  NETWORK,
];

/** The provider whose rotation an event type is about; null for any other. */
export const rotationProviderOf = (eventType: AlertEventType): KeyProviderName | null =>
  KEY_PROVIDERS.find((provider) => eventType === `${provider}_ENCRYPTION_KEY_NEEDS_ROTATION`) ?? null;

export interface Alert {
  readonly id: string;
  readonly projectId: string;
  /** The key configuration, or the cluster, whose condition it is. */
  readonly sourceId: string;
  /** Null when it concerns the whole project. */
  readonly clusterName: string | null;
  readonly eventType: AlertEventType;
  readonly status: AlertStatus;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly resolvedAt: Date | null;
  readonly lastNotified: Date | null;
  /** Somebody knows of it: reminders pause until then. */
  readonly acknowledgedUntil: Date | null;
  readonly acknowledgementComment: string | null;
  /** Client id of the service account. */
  readonly acknowledgingUsername: string | null;
}

export type AlertChange =
  | { readonly change: 'open'; readonly eventType: AlertEventType; readonly since: Date }
  | { readonly change: 'close' | 'cancel'; readonly eventType: AlertEventType };

export const KEY_CONFIGURATION_EVENT_NAMES = [
  'saved',
  'removed',
  'invalidated',
  'validated',
  'held',
  'hold-decided',
  'hold-overdue',
  'hold-ended',
  'became-unreachable',
  'unreachable-escalated',
  'became-reachable',
  'attention-needed',
  'policy-changed',
  'end-approaching',
  'end-called-off',
  'rotation-due',
  'rotated',
] as const;
/** The part of an event's type that names what happened. */
export type KeyConfigurationEventName = (typeof KEY_CONFIGURATION_EVENT_NAMES)[number];

/** The alert that a message about an event belongs to; null for those that belong to none. */
export function alertTypeOf(event: KeyConfigurationEventName, provider: KeyProviderName): AlertEventType | null {
  switch (event) {
    case 'invalidated':
    case 'validated':
      return `${provider}_ENCRYPTION_KEY_INVALID`;
    case 'became-unreachable':
    case 'unreachable-escalated':
    case 'became-reachable':
      return NETWORK;
    case 'end-approaching':
    case 'end-called-off':
      return `${provider}_ENCRYPTION_KEY_END_APPROACHING`;
    case 'rotation-due':
    case 'rotated':
      return `${provider}_ENCRYPTION_KEY_NEEDS_ROTATION`;
    // What waits for a decision of the operators concerns them; the rest belongs to no condition that lasts.
    case 'held':
    case 'hold-decided':
    case 'hold-overdue':
    case 'hold-ended':
    case 'policy-changed':
    case 'attention-needed':
    case 'saved':
    case 'removed':
      return null;
    default:
      return unhandled(event);
  }
}

/**
 * What an event of a key configuration means for the alerts of its conditions. Closing follows from the state where the state says so, so that a lost
 * transition cannot leave an alert open; opening follows from the transition, because `unreachableSince` is set before the grace period is over. Pure.
 *
 * @param epochBefore the customer key's epoch before the event, when it is known: end and rotation of another key are no concern any more
 */
export function alertChanges(
  event: KeyConfigurationEventName,
  state: KeyConfigurationState,
  at: Date,
  epochBefore: number | null = null,
): AlertChange[] {
  const { provider } = state;
  if (event === 'removed' || !state.enabled) return alertTypesOf(provider).map((eventType) => ({ change: 'cancel', eventType }));
  const otherKey = epochBefore !== null && state.epoch !== undefined && state.epoch !== epochBefore;
  return [
    ...keyInvalidChanges(event, state, at),
    ...networkChanges(event, state, at),
    ...rotationChanges(event, state, at, otherKey),
    ...endChanges(event, state, at, otherKey),
  ];
}

/** A key whose shutdown is held is proven gone as well: only the consequence waits. */
function keyInvalidChanges(event: KeyConfigurationEventName, state: KeyConfigurationState, at: Date): AlertChange[] {
  const eventType: AlertEventType = `${state.provider}_ENCRYPTION_KEY_INVALID`;
  if (state.state !== 'INVALID' && state.state !== 'HELD') return [{ change: 'close', eventType }];
  if (event !== 'invalidated' && event !== 'held') return [];
  return [{ change: 'open', eventType, since: dateOr(state.hold?.since ?? state.invalidSince, at) }];
}

function networkChanges(event: KeyConfigurationEventName, state: KeyConfigurationState, at: Date): AlertChange[] {
  if (state.unreachableSince === null) return [{ change: 'close', eventType: NETWORK }];
  if (event !== 'became-unreachable' && event !== 'unreachable-escalated') return [];
  return [{ change: 'open', eventType: NETWORK, since: dateOr(state.unreachableSince, at) }];
}

function rotationChanges(
  event: KeyConfigurationEventName,
  { provider, rotation }: KeyConfigurationState,
  at: Date,
  otherKey: boolean,
): AlertChange[] {
  const eventType: AlertEventType = `${provider}_ENCRYPTION_KEY_NEEDS_ROTATION`;
  if (event === 'rotation-due') return [{ change: 'open', eventType, since: at }];
  const young = rotation !== undefined && (rotation.reminderDays === null || rotation.ageDays < rotation.reminderDays);
  return event === 'rotated' || young || otherKey ? [{ change: 'close', eventType }] : [];
}

function endChanges(event: KeyConfigurationEventName, { provider }: KeyConfigurationState, at: Date, otherKey: boolean): AlertChange[] {
  const eventType: AlertEventType = `${provider}_ENCRYPTION_KEY_END_APPROACHING`;
  if (event === 'end-approaching') return [{ change: 'open', eventType, since: at }];
  return event === 'end-called-off' || otherKey ? [{ change: 'close', eventType }] : [];
}

const dateOr = (timestamp: string | null, fallback: Date): Date => (timestamp === null ? fallback : new Date(timestamp));
