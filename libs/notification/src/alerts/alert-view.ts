import { atlasTime } from '@atrest/platform-http';
import { z } from 'zod';
import type { Alert } from './alert.js';
import { alertConfigIdOf } from './alert-config.js';
import { LinkSchema } from './alerts-api.js';

export const AlertViewSchema = z.object({
  id: z.string(),
  alertConfigId: z.string(),
  eventTypeName: z.string(),
  status: z.enum(['OPEN', 'CLOSED', 'CANCELLED']),
  created: z.string(),
  updated: z.string(),
  resolved: z.string().optional(),
  lastNotified: z.string().optional(),
  acknowledgedUntil: z.string().optional(),
  acknowledgementComment: z.string().optional(),
  acknowledgingUsername: z.string().optional(),
  clusterName: z.string().optional(),
  groupId: z.string(),
  orgId: z.string(),
  links: z.array(LinkSchema),
});
export type AlertView = z.infer<typeof AlertViewSchema>;
export const AlertListSchema = z.object({ links: z.array(LinkSchema), results: z.array(AlertViewSchema), totalCount: z.int().optional() });

/** A value that is not there is left out (Atlas): clients fail on empty times. */
export function alertView(alert: Alert, orgId: string, baseUrl: string): AlertView {
  return {
    id: alert.id,
    alertConfigId: alertConfigIdOf(alert.projectId, alert.eventType),
    eventTypeName: alert.eventType,
    status: alert.status,
    created: atlasTime(alert.createdAt),
    updated: atlasTime(alert.updatedAt),
    ...(alert.resolvedAt && { resolved: atlasTime(alert.resolvedAt) }),
    ...(alert.lastNotified && { lastNotified: atlasTime(alert.lastNotified) }),
    ...(alert.acknowledgedUntil && { acknowledgedUntil: atlasTime(alert.acknowledgedUntil) }),
    ...(alert.acknowledgementComment !== null && { acknowledgementComment: alert.acknowledgementComment }),
    ...(alert.acknowledgingUsername !== null && { acknowledgingUsername: alert.acknowledgingUsername }),
    ...(alert.clusterName !== null && { clusterName: alert.clusterName }),
    groupId: alert.projectId,
    orgId,
    links: [{ rel: 'self', href: `${baseUrl}/api/atlas/v2/groups/${alert.projectId}/alerts/${alert.id}` }],
  };
}
