import { createHash } from 'node:crypto';
import type { KeyConfigurationState, KeyProviderName } from '@atrest/contracts';

export type AlertStatus = 'OPEN' | 'CLOSED' | 'CANCELLED';

/** Event types as the Atlas Admin API names them; KMIP follows their pattern. */
export type AlertEventType = `${KeyProviderName}_ENCRYPTION_KEY_INVALID` | 'ENCRYPTION_AT_REST_KMS_NETWORK_ACCESS_DENIED';

export interface Alert {
  readonly id: string;
  readonly projectId: string;
  /** The key configuration whose condition it is. */
  readonly sourceId: string;
  readonly eventType: AlertEventType;
  readonly status: AlertStatus;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly resolvedAt: Date | null;
  readonly lastNotified: Date | null;
}

export type AlertChange =
  | { readonly change: 'open'; readonly eventType: AlertEventType; readonly since: Date }
  | { readonly change: 'close' | 'cancel'; readonly eventType: AlertEventType };

export type KeyConfigurationEventName =
  'saved' | 'removed' | 'invalidated' | 'validated' | 'became-unreachable' | 'became-reachable' | 'attention-needed';

/**
 * What an event of a key configuration means for the alerts of its two conditions. Closing follows from the state, so that a lost
 * transition cannot leave an alert open; opening follows from the transition, because `unreachableSince` is set before the grace
 * period is over. Pure.
 */
export function alertChanges(event: KeyConfigurationEventName, state: KeyConfigurationState, at: Date): AlertChange[] {
  const keyInvalid: AlertEventType = `${state.provider}_ENCRYPTION_KEY_INVALID`;
  const unreachable = 'ENCRYPTION_AT_REST_KMS_NETWORK_ACCESS_DENIED';
  if (event === 'removed' || !state.enabled) {
    return [
      { change: 'cancel', eventType: keyInvalid },
      { change: 'cancel', eventType: unreachable },
    ];
  }
  const changes: AlertChange[] = [];
  if (state.state !== 'INVALID') changes.push({ change: 'close', eventType: keyInvalid });
  else if (event === 'invalidated') changes.push({ change: 'open', eventType: keyInvalid, since: dateOr(state.invalidSince, at) });
  if (state.unreachableSince === null) changes.push({ change: 'close', eventType: unreachable });
  else if (event === 'became-unreachable') {
    changes.push({ change: 'open', eventType: unreachable, since: dateOr(state.unreachableSince, at) });
  }
  return changes;
}

const dateOr = (timestamp: string | null, fallback: Date): Date => (timestamp === null ? fallback : new Date(timestamp));

/**
 * Atlas clients expect every alert to name its alert configuration. Atrest always alerts, so a project's configuration for an event
 * type exists from the start; its id follows from both.
 */
export const alertConfigIdOf = (projectId: string, eventType: AlertEventType): string =>
  createHash('sha256').update(`${projectId}/${eventType}`).digest('hex').slice(0, 24);
