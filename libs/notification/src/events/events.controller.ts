import {
  ApiError,
  AtlasRoute,
  atlasTime,
  BaseUrl,
  page,
  pageQuery,
  PathParam,
  queryFlag,
  rowsOf,
  ValidQuery,
  type Page,
} from '@atrest/platform-http';
import { Controller, Inject } from '@nestjs/common';
import { z } from 'zod';
import { ALERTS_API, LinkSchema, projectOf, READ, VERSIONS, type AlertsApi } from '../alerts/alerts-api.js';
import type { ProjectEvent } from './project-event.js';

/** Given once or several times. */
const names = z
  .union([z.string().max(128), z.array(z.string().max(128)).max(100)])
  .optional()
  .transform((given) => (given === undefined ? [] : Array.isArray(given) ? given : [given]));
const moment = z.iso
  .datetime({ offset: true })
  .optional()
  .transform((given) => (given === undefined ? null : new Date(given)));

const EventListQuerySchema = z.object({
  ...pageQuery,
  eventType: names,
  excludedEventType: names,
  clusterNames: names,
  minDate: moment,
  maxDate: moment,
  /** Accepted; there is nothing raw to add. */
  includeRaw: queryFlag().default(false),
});
type EventListQuery = z.infer<typeof EventListQuerySchema>;

const EventViewSchema = z.object({
  id: z.string(),
  eventTypeName: z.string(),
  created: z.string(),
  clusterName: z.string().optional(),
  groupId: z.string(),
  orgId: z.string(),
  isGlobalAdmin: z.boolean(),
  links: z.array(LinkSchema),
});
type EventView = z.infer<typeof EventViewSchema>;
const EventListSchema = z.object({ links: z.array(LinkSchema), results: z.array(EventViewSchema), totalCount: z.int().optional() });

/** What happened to the customer keys and backups of a project, under the names of the Atlas Admin API. */
@Controller()
export class EventsController {
  constructor(@Inject(ALERTS_API) private readonly api: AlertsApi) {}

  @AtlasRoute({
    method: 'GET',
    path: '/groups/:groupId/events',
    versions: VERSIONS,
    access: READ,
    summary:
      'Returns what happened to the customer keys and the backups of a project, newest first. Those of keys belong to no cluster: with clusterNames there are none of them.',
    query: EventListQuerySchema,
    response: EventListSchema,
  })
  async list(
    @PathParam('groupId') groupId: string,
    @ValidQuery() query: EventListQuery,
    @BaseUrl() baseUrl: string,
  ): Promise<Page<EventView>> {
    const { orgId } = await projectOf(this.api, groupId);
    const { clusterNames, eventType: eventTypes, excludedEventType: excludedEventTypes, minDate, maxDate } = query;
    const filter = { clusterNames, eventTypes, excludedEventTypes, minDate, maxDate };
    const { events, total } = await this.api.events.list(groupId, filter, rowsOf(query));
    return page(
      events.map((event) => eventView(event, orgId, baseUrl)),
      total,
      query,
    );
  }

  @AtlasRoute({
    method: 'GET',
    path: '/groups/:groupId/events/:eventId',
    versions: VERSIONS,
    access: READ,
    summary: 'Returns one event of a project.',
    response: EventViewSchema,
  })
  async get(@PathParam('groupId') groupId: string, @PathParam('eventId') eventId: string, @BaseUrl() baseUrl: string): Promise<EventView> {
    const { orgId } = await projectOf(this.api, groupId);
    const event = await this.api.events.find(groupId, eventId);
    if (event === null) {
      const shown = eventId.slice(0, 64);
      throw new ApiError(404, 'RESOURCE_NOT_FOUND', `No event with ID ${shown} exists in group ${groupId}.`, [shown, groupId]);
    }
    return eventView(event, orgId, baseUrl);
  }
}

const eventView = (event: ProjectEvent, orgId: string, baseUrl: string): EventView => ({
  id: event.id,
  eventTypeName: event.eventType,
  created: atlasTime(event.createdAt),
  ...(event.clusterName !== null && { clusterName: event.clusterName }),
  groupId: event.projectId,
  orgId,
  isGlobalAdmin: false,
  links: [{ rel: 'self', href: `${baseUrl}/api/atlas/v2/groups/${event.projectId}/events/${event.id}` }],
});
