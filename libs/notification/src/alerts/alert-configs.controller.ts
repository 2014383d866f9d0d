import {
  ApiError,
  AtlasRoute,
  BaseUrl,
  page,
  pageOf,
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
import {
  AlertConfigListSchema,
  alertConfigView,
  AlertConfigViewSchema,
  ThresholdSchema,
  type AlertConfigView,
} from './alert-config-view.js';
import { rotationProviderOf } from './alert.js';
import { AlertListSchema, alertView, type AlertView } from './alert-view.js';
import { alertConfigOf, ALERTS_API, notFound, projectOf, READ, VERSIONS, WRITE, type AlertsApi } from './alerts-api.js';

const ToggleSchema = z.object({ enabled: z.boolean() });

/** A whole configuration as clients send it back; what Atrest does not let anybody change must be as it is, or left out. */
const AlertConfigChangeSchema = z.object({
  eventTypeName: z.string(),
  enabled: z.boolean().default(false),
  notifications: z
    .array(z.object({ typeName: z.string() }))
    .max(25)
    .default([]),
  matchers: z.array(z.unknown()).nullish(),
  threshold: ThresholdSchema.nullish(),
});
type AlertConfigChange = z.infer<typeof AlertConfigChangeSchema>;

const CONFIG = '/groups/:groupId/alertConfigs/:alertConfigId';

/** What a project decides about its alerts: each kind exists from its first key configuration, or snapshot, on and can be switched off. */
@Controller()
export class AlertConfigsController {
  constructor(@Inject(ALERTS_API) private readonly api: AlertsApi) {}

  @AtlasRoute({
    method: 'GET',
    path: '/groups/:groupId/alertConfigs',
    versions: VERSIONS,
    access: READ,
    summary:
      'Returns the alert configurations of a project: those of the providers for which it has or had a key configuration and, from its first snapshot on, those of backups.',
    query: PageQuerySchema,
    response: AlertConfigListSchema,
  })
  async list(
    @PathParam('groupId') groupId: string,
    @ValidQuery() query: PageRequest,
    @BaseUrl() baseUrl: string,
  ): Promise<Page<AlertConfigView>> {
    await projectOf(this.api, groupId);
    const configs = await this.api.alertConfigs.list(groupId);
    return pageOf(await Promise.all(configs.map((config) => alertConfigView(this.api, config, baseUrl))), query);
  }

  @AtlasRoute({
    method: 'GET',
    path: CONFIG,
    versions: VERSIONS,
    access: READ,
    summary: 'Returns one alert configuration of a project.',
    response: AlertConfigViewSchema,
  })
  async get(
    @PathParam('groupId') groupId: string,
    @PathParam('alertConfigId') alertConfigId: string,
    @BaseUrl() baseUrl: string,
  ): Promise<AlertConfigView> {
    await projectOf(this.api, groupId);
    return alertConfigView(this.api, await alertConfigOf(this.api, groupId, alertConfigId), baseUrl);
  }

  @AtlasRoute({
    method: 'PATCH',
    path: CONFIG,
    versions: VERSIONS,
    access: WRITE,
    summary: 'Switches an alert configuration on or off. Off cancels its open alert and ends reminders, not mails about stopped databases.',
    body: ToggleSchema,
    response: AlertConfigViewSchema,
  })
  async toggle(
    @PathParam('groupId') groupId: string,
    @PathParam('alertConfigId') alertConfigId: string,
    @ValidBody() { enabled }: z.infer<typeof ToggleSchema>,
    @BaseUrl() baseUrl: string,
  ): Promise<AlertConfigView> {
    await projectOf(this.api, groupId);
    return this.setEnabled(groupId, alertConfigId, enabled, baseUrl);
  }

  @AtlasRoute({
    method: 'PUT',
    path: CONFIG,
    versions: VERSIONS,
    access: WRITE,
    summary:
      'Replaces an alert configuration. Only enabled can change here; the threshold of a rotation alert is rotationReminderDays of the validity policy.',
    body: AlertConfigChangeSchema,
    response: AlertConfigViewSchema,
  })
  async replace(
    @PathParam('groupId') groupId: string,
    @PathParam('alertConfigId') alertConfigId: string,
    @ValidBody() change: AlertConfigChange,
    @BaseUrl() baseUrl: string,
  ): Promise<AlertConfigView> {
    await projectOf(this.api, groupId);
    const config = await alertConfigOf(this.api, groupId, alertConfigId);
    refuse(await alertConfigView(this.api, config, baseUrl), change, rotationProviderOf(config.eventType) !== null);
    return this.setEnabled(groupId, alertConfigId, change.enabled, baseUrl);
  }

  @AtlasRoute({
    method: 'GET',
    path: `${CONFIG}/alerts`,
    versions: VERSIONS,
    access: READ,
    summary: 'Returns the open alerts of an alert configuration.',
    query: PageQuerySchema,
    response: AlertListSchema,
  })
  async alerts(
    @PathParam('groupId') groupId: string,
    @PathParam('alertConfigId') alertConfigId: string,
    @ValidQuery() query: PageRequest,
    @BaseUrl() baseUrl: string,
  ): Promise<Page<AlertView>> {
    const { orgId } = await projectOf(this.api, groupId);
    const { eventType } = await alertConfigOf(this.api, groupId, alertConfigId);
    const { alerts, total } = await this.api.alerts.list(groupId, { status: 'OPEN', eventType, ...rowsOf(query) });
    return page(
      alerts.map((alert) => alertView(alert, orgId, baseUrl)),
      total,
      query,
    );
  }

  @AtlasRoute({
    method: 'GET',
    path: '/alertConfigs/matchers/fieldNames',
    versions: VERSIONS,
    access: 'authenticated',
    summary: 'Returns the fields by which alerts can be narrowed down: none, an alert configuration always concerns a whole project.',
    response: z.array(z.string()),
  })
  fieldNames(): string[] {
    return [];
  }

  private async setEnabled(groupId: string, id: string, enabled: boolean, baseUrl: string): Promise<AlertConfigView> {
    const config = await this.api.alertConfigs.setEnabled(groupId, id, enabled, this.api.clock.now());
    return alertConfigView(this.api, config ?? notFound('alert configuration', 'ALERT_CONFIG_NOT_FOUND', id, groupId), baseUrl);
  }
}

/** @throws ApiError 400 for what cannot be changed here, in the codes of Atlas */
function refuse(current: AlertConfigView, change: AlertConfigChange, withThreshold: boolean): void {
  const { eventTypeName, notifications, matchers, threshold } = change;
  if (eventTypeName !== current.eventTypeName) {
    const shown = eventTypeName.slice(0, 64);
    throw new ApiError(400, 'INVALID_EVENT_TYPE_FOR_ALERT', `This alert configuration is for ${current.eventTypeName}, not for ${shown}.`, [
      shown,
    ]);
  }
  if (notifications.length === 0) throw new ApiError(400, 'MISSING_NOTIFICATIONS', 'At least one notification must be specified.');
  if (notifications.length > 1 || notifications[0]?.typeName !== 'GROUP') {
    throw unchangeable('notifications', 'Reminders go by mail to the members of the project with the roles that are shown.');
  }
  if (matchers != null && matchers.length > 0) throw unchangeable('matchers', 'An alert configuration concerns a whole project.');
  if (!withThreshold) return;
  if (threshold == null) throw new ApiError(400, 'MISSING_THRESHOLD', 'A threshold must be specified for this event type.');
  if (threshold.threshold !== current.threshold?.threshold) {
    throw unchangeable(
      'threshold',
      `The days belong to the project's validity policy: PATCH /api/atlas/v2/groups/${current.groupId}/encryptionAtRest/validityPolicy {"rotationReminderDays": ${threshold.threshold}}.`,
    );
  }
}

const unchangeable = (attribute: string, why: string): ApiError =>
  new ApiError(
    400,
    'INVALID_ATTRIBUTE',
    `Invalid attribute ${attribute}: it cannot be changed here. ${why}`,
    [attribute],
    [{ field: attribute, description: why }],
  );
