import type { KeyProviderName } from '@atrest/contracts';
import type { KeyConfigurationEventName } from '../alerts/alert.js';
import { unhandled } from '../unhandled.js';

/** An event of a project as the API lists it. */
export interface ProjectEvent {
  readonly id: string;
  readonly projectId: string;
  /** Null when it concerns the whole project. */
  readonly clusterName: string | null;
  readonly eventType: string;
  readonly createdAt: Date;
}

/** How long events are kept, in days: an audit looks back a year. */
export const EVENT_DAYS = 400;

/**
 * The name that the Atlas Admin API has for an event of a key configuration; KMIP and the end of a key follow the pattern. Null for what has none: held
 * shutdowns show as what they are, a key that is not usable, and the levels of an outage as the outage.
 */
export function eventTypeOf(event: KeyConfigurationEventName, provider: KeyProviderName): string | null {
  switch (event) {
    case 'saved':
    case 'removed':
      return 'ENCRYPTION_AT_REST_CONFIGURATION_UPDATED';
    case 'held':
    case 'invalidated':
      return `${provider}_ENCRYPTION_KEY_INVALID`;
    case 'validated':
    case 'hold-ended':
      return `${provider}_ENCRYPTION_KEY_VALID`;
    case 'became-unreachable':
      return 'ENCRYPTION_AT_REST_KMS_NETWORK_ACCESS_DENIED';
    case 'became-reachable':
      return 'ENCRYPTION_AT_REST_KMS_NETWORK_ACCESS_RESTORED';
    case 'end-approaching':
      return `${provider}_ENCRYPTION_KEY_END_APPROACHING`;
    case 'end-called-off':
      return `${provider}_ENCRYPTION_KEY_END_CALLED_OFF`;
    case 'rotation-due':
      return `${provider}_ENCRYPTION_KEY_NEEDS_ROTATION`;
    case 'rotated':
      return `${provider}_ENCRYPTION_KEY_ROTATED`;
    case 'attention-needed':
    case 'hold-decided':
    case 'hold-overdue':
    case 'policy-changed':
    case 'unreachable-escalated':
      return null;
    default:
      return unhandled(event);
  }
}
