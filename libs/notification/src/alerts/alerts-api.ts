import { ApiError, groupNotFound } from '@atrest/platform-http';
import { awaitProjection } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import { z } from 'zod';
import type { ProjectEventRepository } from '../events/project-event.repository.js';
import type { KeyConfigurationProjection } from '../projections/key-configurations.js';
import type { ProjectProjection } from '../projections/projects.js';
import type { Alert } from './alert.js';
import type { AlertConfig } from './alert-config.js';
import type { AlertConfigRepository } from './alert-config.repository.js';
import type { AlertRepository } from './alert.repository.js';

export const VERSIONS = ['2023-01-01'];
export const READ = { project: ['GROUP_READ_ONLY' as const] };
/** Atlas also lets a Project Alerts Manager change alerts; Atrest has no such role. */
export const WRITE = { project: ['GROUP_OWNER' as const] };

export const ALERTS_API = Symbol('notification.alerts-api');
export interface AlertsApi {
  readonly alerts: AlertRepository;
  readonly alertConfigs: AlertConfigRepository;
  readonly configurations: KeyConfigurationProjection;
  readonly events: ProjectEventRepository;
  readonly projects: ProjectProjection;
  readonly clock: Clock;
}

export const LinkSchema = z.object({ rel: z.string(), href: z.string() });

/** The project of the path. It may have been created a moment ago. */
export async function projectOf(api: AlertsApi, groupId: string): Promise<{ readonly orgId: string }> {
  const project = await awaitProjection(() => api.projects.findLiving(groupId));
  if (project === undefined) throw groupNotFound(groupId);
  return project;
}

export async function alertOf(api: AlertsApi, groupId: string, alertId: string): Promise<Alert> {
  return (await api.alerts.find(groupId, alertId)) ?? notFound('alert', 'ALERT_NOT_FOUND', alertId, groupId);
}

export async function alertConfigOf(api: AlertsApi, groupId: string, alertConfigId: string): Promise<AlertConfig> {
  return (
    (await api.alertConfigs.find(groupId, alertConfigId)) ??
    notFound('alert configuration', 'ALERT_CONFIG_NOT_FOUND', alertConfigId, groupId)
  );
}

/** @throws ApiError 404 */
export function notFound(what: string, errorCode: string, id: string, groupId: string): never {
  const shown = id.slice(0, 64);
  throw new ApiError(404, errorCode, `No ${what} with ID ${shown} exists in group ${groupId}.`, [shown, groupId]);
}
