import {
  ApiError,
  atlasTime,
  AtlasRoute,
  BaseUrl,
  groupNotFound,
  page,
  pageQuery,
  PathParam,
  rowsOf,
  ValidQuery,
  type Page,
} from '@atrest/platform-http';
import { awaitProjection } from '@atrest/platform-persistence';
import { Controller, Inject, type Type } from '@nestjs/common';
import { z } from 'zod';
import type { ProjectProjection } from '../projections/projects.js';
import type { Alert } from './alert.js';
import { alertConfigIdOf } from './alert-config.js';
import type { AlertRepository } from './alert.repository.js';

const VERSIONS = ['2023-01-01'];

const AlertListQuerySchema = z.object({ ...pageQuery, status: z.enum(['OPEN', 'TRACKING', 'CLOSED']).optional() });
type AlertListQuery = z.infer<typeof AlertListQuerySchema>;

const LinkSchema = z.object({ rel: z.string(), href: z.string() });
export const AlertViewSchema = z.object({
  id: z.string(),
  alertConfigId: z.string(),
  eventTypeName: z.string(),
  status: z.enum(['OPEN', 'CLOSED', 'CANCELLED']),
  created: z.string(),
  updated: z.string(),
  resolved: z.string().optional(),
  lastNotified: z.string().optional(),
  groupId: z.string(),
  orgId: z.string(),
  links: z.array(LinkSchema),
});
export type AlertView = z.infer<typeof AlertViewSchema>;
const AlertListSchema = z.object({ links: z.array(LinkSchema), results: z.array(AlertViewSchema), totalCount: z.int().optional() });

export const ALERTS_API = Symbol('notification.alerts-api');
export interface AlertsApi {
  readonly alerts: AlertRepository;
  readonly projects: ProjectProjection;
}

/** Alerts of a project, in the shape of the Atlas Admin API. Read only: they open and close with the condition. */
@Controller()
export class AlertsController {
  constructor(@Inject(ALERTS_API) private readonly api: AlertsApi) {}

  @AtlasRoute({
    method: 'GET',
    path: '/groups/:groupId/alerts',
    versions: VERSIONS,
    access: { project: ['GROUP_READ_ONLY'] },
    summary: 'Returns the alerts of a project, newest first.',
    query: AlertListQuerySchema,
    response: AlertListSchema,
  })
  async list(
    @PathParam('groupId') groupId: string,
    @ValidQuery() query: AlertListQuery,
    @BaseUrl() baseUrl: string,
  ): Promise<Page<AlertView>> {
    const { orgId } = await this.project(groupId);
    const { alerts, total } = await this.api.alerts.list(groupId, { status: query.status, ...rowsOf(query) });
    return page(
      alerts.map((alert) => viewOf(alert, orgId, baseUrl)),
      total,
      query,
    );
  }

  @AtlasRoute({
    method: 'GET',
    path: '/groups/:groupId/alerts/:alertId',
    versions: VERSIONS,
    access: { project: ['GROUP_READ_ONLY'] },
    summary: 'Returns one alert of a project.',
    response: AlertViewSchema,
  })
  async get(@PathParam('groupId') groupId: string, @PathParam('alertId') alertId: string, @BaseUrl() baseUrl: string): Promise<AlertView> {
    const { orgId } = await this.project(groupId);
    const alert = await this.api.alerts.find(groupId, alertId);
    if (alert === null) {
      const shown = alertId.slice(0, 64);
      throw new ApiError(404, 'ALERT_NOT_FOUND', `No alert with ID ${shown} exists in group ${groupId}.`, [shown, groupId]);
    }
    return viewOf(alert, orgId, baseUrl);
  }

  private async project(groupId: string): Promise<{ readonly orgId: string }> {
    const project = await awaitProjection(() => this.api.projects.findLiving(groupId));
    if (project === undefined) throw groupNotFound(groupId);
    return project;
  }
}

/** A value that is not there is left out (Atlas): clients fail on empty times. */
function viewOf(alert: Alert, orgId: string, baseUrl: string): AlertView {
  return {
    id: alert.id,
    alertConfigId: alertConfigIdOf(alert.projectId, alert.eventType),
    eventTypeName: alert.eventType,
    status: alert.status,
    created: atlasTime(alert.createdAt),
    updated: atlasTime(alert.updatedAt),
    ...(alert.resolvedAt && { resolved: atlasTime(alert.resolvedAt) }),
    ...(alert.lastNotified && { lastNotified: atlasTime(alert.lastNotified) }),
    groupId: alert.projectId,
    orgId,
    links: [{ rel: 'self', href: `${baseUrl}/api/atlas/v2/groups/${alert.projectId}/alerts/${alert.id}` }],
  };
}

/** Every controller of the service: what it serves, and what the generated API reference describes. */
export const notificationControllers: readonly Type[] = [AlertsController];
