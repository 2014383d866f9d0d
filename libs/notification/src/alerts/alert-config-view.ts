import { createHash } from 'node:crypto';
import { atlasTime } from '@atrest/platform-http';
import { z } from 'zod';
import { BACKUP_KEEPERS, OWNERS } from '../projections/projects.js';
import { isBackupAlertType, rotationProviderOf } from './alert.js';
import type { AlertConfig } from './alert-config.js';
import { LinkSchema, type AlertsApi } from './alerts-api.js';

export const ThresholdSchema = z.object({ operator: z.literal('GREATER_THAN'), threshold: z.int().positive(), units: z.literal('DAYS') });

export const AlertConfigViewSchema = z.object({
  id: z.string(),
  groupId: z.string(),
  eventTypeName: z.string(),
  enabled: z.boolean(),
  matchers: z.array(z.object({ fieldName: z.string(), operator: z.string(), value: z.string() })),
  threshold: ThresholdSchema.optional(),
  notifications: z.array(
    z.object({
      typeName: z.literal('GROUP'),
      intervalMin: z.int(),
      delayMin: z.int(),
      emailEnabled: z.boolean(),
      smsEnabled: z.boolean(),
      roles: z.array(z.string()),
      notifierId: z.string(),
    }),
  ),
  created: z.string(),
  updated: z.string(),
  links: z.array(LinkSchema),
});
export type AlertConfigView = z.infer<typeof AlertConfigViewSchema>;
export const AlertConfigListSchema = z.object({
  links: z.array(LinkSchema),
  results: z.array(AlertConfigViewSchema),
  totalCount: z.int().optional(),
});

/** How reminders go out, the same for all: at once, at most once a day (`PAUSE_MS` of the announcements). */
const NOTIFICATION = {
  typeName: 'GROUP',
  intervalMin: 1_440,
  delayMin: 0,
  emailEnabled: true,
  smsEnabled: false,
} as const;

/** The threshold is that of the project's validity policy, as `kms-validation` told last; left out when it never did, or when nobody is reminded. */
export async function alertConfigView(api: AlertsApi, config: AlertConfig, baseUrl: string): Promise<AlertConfigView> {
  const provider = rotationProviderOf(config.eventType);
  const threshold = provider === null ? null : await api.configurations.rotationReminderDays(config.projectId, provider);
  return {
    id: config.id,
    groupId: config.projectId,
    eventTypeName: config.eventType,
    enabled: config.enabled,
    matchers: [],
    ...(threshold !== null && { threshold: { operator: 'GREATER_THAN' as const, threshold, units: 'DAYS' as const } }),
    notifications: [
      {
        ...NOTIFICATION,
        roles: [...(isBackupAlertType(config.eventType) ? BACKUP_KEEPERS : OWNERS)],
        notifierId: createHash('sha256').update(`${config.id}/notifier`).digest('hex').slice(0, 24),
      },
    ],
    created: atlasTime(config.createdAt),
    updated: atlasTime(config.updatedAt),
    links: [{ rel: 'self', href: `${baseUrl}/api/atlas/v2/groups/${config.projectId}/alertConfigs/${config.id}` }],
  };
}
