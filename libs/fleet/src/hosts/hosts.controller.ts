import { AtlasRoute, pageOf, PageQuerySchema, PathParam, queryFlag, ValidQuery, type Page, type PageRequest } from '@atrest/platform-http';
import type { Clock } from '@atrest/platform-time';
import { Controller, Inject } from '@nestjs/common';
import { z } from 'zod';
import { apiTime } from '../clusters/settings/render-common.js';
import { CLOCK, ENROLMENT, HOSTS } from '../tokens.js';
import { Enrolment } from './enrolment.js';
import { isSilent } from './host-liveness.js';
import { Hosts } from './hosts.js';
import type { Host } from './hosts.repository.js';

const versions = ['2023-01-01'];
const access = { org: ['ORG_OWNER'] } as const;

const HostRemovalQuerySchema = z.object({ force: queryFlag().default(false) });

function hostView(host: Host, now: Date): object {
  return {
    id: host.id,
    orgId: host.orgId,
    hostname: host.hostname,
    dataFolder: host.dataFolder,
    portRange: { first: host.portFirst, last: host.portLast },
    capacity: host.capacity,
    processes: host.processes,
    allowsColocation: host.allowsColocation,
    agentVersion: host.agentVersion,
    enrolledAt: apiTime(host.enrolledAt),
    ...(host.lastHeardAt !== null && { lastHeardAt: apiTime(host.lastHeardAt) }),
    /** The agent has not been heard of for 30 s: what it last reported may not be so any more. */
    stale: isSilent(host.lastHeardAt, now),
    ...(host.givenUpAt !== null && { givenUpAt: apiTime(host.givenUpAt) }),
    goalVersion: host.goalVersion,
    reportedGoalVersion: host.reportedVersion,
    /** Where its agent keeps snapshots; null: it takes none. */
    snapshotStore: host.snapshotStore,
    /** The public key (JWK) that secrets on their way to its agent are sealed for. */
    sealingKey: host.sealingKey,
  };
}

/** `/orgs/{orgId}/hosts` (extension): the hosts that the projects of an organisation share. */
@Controller()
export class HostsController {
  constructor(
    @Inject(HOSTS) private readonly hosts: Hosts,
    @Inject(ENROLMENT) private readonly enrolment: Enrolment,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  @AtlasRoute({
    method: 'GET',
    path: '/orgs/:orgId/hosts',
    versions,
    access,
    summary: 'Lists the hosts of an organisation with when their agents were last heard of.',
    query: PageQuerySchema,
  })
  async list(@PathParam('orgId') orgId: string, @ValidQuery() query: PageRequest): Promise<Page<object>> {
    const now = this.clock.now();
    const hosts = await this.hosts.list(orgId);
    return pageOf(
      hosts.map((host) => hostView(host, now)),
      query,
    );
  }

  @AtlasRoute({
    method: 'POST',
    path: '/orgs/:orgId/hosts:enrolmentToken',
    versions,
    access,
    summary: 'Makes a token with which one agent can enrol its host, once, within an hour. Only this answer shows it.',
    success: 201,
  })
  async createToken(@PathParam('orgId') orgId: string): Promise<object> {
    const { token, expiresAt } = await this.enrolment.createToken(orgId);
    return { token, expiresAt: apiTime(expiresAt) };
  }

  @AtlasRoute({
    method: 'DELETE',
    path: '/orgs/:orgId/hosts/:hostId',
    versions,
    access,
    summary:
      'Takes out a host that has no processes. With force=true gives up a host that is lost for good: nobody waits for its processes any more.',
    query: HostRemovalQuerySchema,
    success: 204,
  })
  async remove(
    @PathParam('orgId') orgId: string,
    @PathParam('hostId') hostId: string,
    @ValidQuery() query: z.infer<typeof HostRemovalQuerySchema>,
  ): Promise<void> {
    await (query.force ? this.hosts.giveUp(orgId, hostId) : this.hosts.remove(orgId, hostId));
  }
}
