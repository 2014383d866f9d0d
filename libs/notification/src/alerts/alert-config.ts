import { createHash } from 'node:crypto';
import type { AlertEventType } from './alert.js';

/** What a project decided about one kind of alert. Those about keys exist from the project's first key configuration of the provider on, those about backups from its first snapshot on. */
export interface AlertConfig {
  readonly id: string;
  readonly projectId: string;
  readonly eventType: AlertEventType;
  /** Disabled, no alert opens and nobody is reminded. Mails about databases that are stopped or started are sent in any case. */
  readonly enabled: boolean;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** There is one per project and event type, so its id follows from both. */
export const alertConfigIdOf = (projectId: string, eventType: AlertEventType): string =>
  createHash('sha256').update(`${projectId}/${eventType}`).digest('hex').slice(0, 24);
