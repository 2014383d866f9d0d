import { CurrentCaller, type Caller } from '@atrest/platform-auth';
import {
  ApiError,
  AtlasRoute,
  BaseUrl,
  missingAttribute,
  page,
  pageOf,
  pageQuery,
  PageQuerySchema,
  PathParam,
  rowsOf,
  ValidBody,
  ValidQuery,
  type Page,
  type PageRequest,
} from '@atrest/platform-http';
import { Controller, Inject } from '@nestjs/common';
import { z } from 'zod';
import { AlertConfigListSchema, alertConfigView, type AlertConfigView } from './alert-config-view.js';
import { alertConfigIdOf } from './alert-config.js';
import type { Acknowledgement } from './alert.repository.js';
import { AlertListSchema, alertView, AlertViewSchema, type AlertView } from './alert-view.js';
import { alertConfigOf, alertOf, ALERTS_API, notFound, projectOf, READ, VERSIONS, WRITE, type AlertsApi } from './alerts-api.js';

const AlertListQuerySchema = z.object({ ...pageQuery, status: z.enum(['OPEN', 'TRACKING', 'CLOSED']).optional() });
type AlertListQuery = z.infer<typeof AlertListQuerySchema>;

/** What clients send back of what they read is ignored. */
const AcknowledgementSchema = z.object({
  acknowledgedUntil: z.iso.datetime({ offset: true }).nullish(),
  acknowledgementComment: z.string().max(200).nullish(),
  unacknowledgeAlert: z.boolean().nullish(),
});
type AcknowledgementBody = z.infer<typeof AcknowledgementSchema>;

/** Alerts of a project, in the shape of the Atlas Admin API. They open and close with their conditions; people only acknowledge them. */
@Controller()
export class AlertsController {
  constructor(@Inject(ALERTS_API) private readonly api: AlertsApi) {}

  @AtlasRoute({
    method: 'GET',
    path: '/groups/:groupId/alerts',
    versions: VERSIONS,
    access: READ,
    summary: 'Returns the alerts of a project, newest first. None is ever TRACKING: a condition is told as soon as it is known.',
    query: AlertListQuerySchema,
    response: AlertListSchema,
  })
  async list(
    @PathParam('groupId') groupId: string,
    @ValidQuery() query: AlertListQuery,
    @BaseUrl() baseUrl: string,
  ): Promise<Page<AlertView>> {
    const { orgId } = await projectOf(this.api, groupId);
    const { alerts, total } = await this.api.alerts.list(groupId, { status: query.status, ...rowsOf(query) });
    return page(
      alerts.map((alert) => alertView(alert, orgId, baseUrl)),
      total,
      query,
    );
  }

  @AtlasRoute({
    method: 'GET',
    path: '/groups/:groupId/alerts/:alertId',
    versions: VERSIONS,
    access: READ,
    summary: 'Returns one alert of a project.',
    response: AlertViewSchema,
  })
  async get(@PathParam('groupId') groupId: string, @PathParam('alertId') alertId: string, @BaseUrl() baseUrl: string): Promise<AlertView> {
    const { orgId } = await projectOf(this.api, groupId);
    return alertView(await alertOf(this.api, groupId, alertId), orgId, baseUrl);
  }

  @AtlasRoute({
    method: 'PATCH',
    path: '/groups/:groupId/alerts/:alertId',
    versions: [...VERSIONS, '2024-05-30'],
    access: WRITE,
    summary:
      'Acknowledges an alert, or takes that back. Until then its reminders are not sent; mails about databases that are stopped or started are.',
    body: AcknowledgementSchema,
    response: AlertViewSchema,
  })
  async acknowledge(
    @PathParam('groupId') groupId: string,
    @PathParam('alertId') alertId: string,
    @ValidBody() body: AcknowledgementBody,
    @CurrentCaller() caller: Caller,
    @BaseUrl() baseUrl: string,
  ): Promise<AlertView> {
    const { orgId } = await projectOf(this.api, groupId);
    const acknowledgement = acknowledgementOf(body, caller.clientId);
    const alert = await this.api.alerts.acknowledge(groupId, alertId, acknowledgement, this.api.clock.now());
    return alertView(alert ?? notFound('alert', 'ALERT_NOT_FOUND', alertId, groupId), orgId, baseUrl);
  }

  @AtlasRoute({
    method: 'GET',
    path: '/groups/:groupId/alerts/:alertId/alertConfigs',
    versions: VERSIONS,
    access: READ,
    summary: 'Returns the alert configuration that an alert belongs to, as a list of one.',
    query: PageQuerySchema,
    response: AlertConfigListSchema,
  })
  async configs(
    @PathParam('groupId') groupId: string,
    @PathParam('alertId') alertId: string,
    @ValidQuery() query: PageRequest,
    @BaseUrl() baseUrl: string,
  ): Promise<Page<AlertConfigView>> {
    await projectOf(this.api, groupId);
    const alert = await alertOf(this.api, groupId, alertId);
    const config = await alertConfigOf(this.api, groupId, alertConfigIdOf(groupId, alert.eventType));
    return pageOf([await alertConfigView(this.api, config, baseUrl)], query);
  }
}

function acknowledgementOf(body: AcknowledgementBody, by: string): Acknowledgement | null {
  const { acknowledgedUntil, acknowledgementComment, unacknowledgeAlert } = body;
  if (unacknowledgeAlert === true) {
    if (acknowledgedUntil == null) return null;
    throw new ApiError(
      400,
      'INVALID_ATTRIBUTE',
      'An alert is either acknowledged or unacknowledged: acknowledgedUntil and unacknowledgeAlert exclude each other.',
      ['unacknowledgeAlert'],
    );
  }
  if (acknowledgedUntil == null) throw missingAttribute('acknowledgedUntil');
  return { until: new Date(acknowledgedUntil), comment: acknowledgementComment ?? null, by };
}
