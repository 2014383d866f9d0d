import { CurrentCaller, type Caller } from '@atrest/platform-auth';
import {
  AtlasRoute,
  BaseUrl,
  pageOf,
  pageQuery,
  PageQuerySchema,
  PathParam,
  ValidQuery,
  type Page,
  type PageRequest,
} from '@atrest/platform-http';
import { Controller, Inject } from '@nestjs/common';
import { z } from 'zod';
import { Refusal } from '../refusal.js';
import { ORGANISATIONS, PROJECTS } from '../tokens.js';
import { groupView } from './projects.controller.js';
import { Projects } from './projects.js';

const versions = ['2023-01-01'];

/** Where organisations are looked up. */
export interface OrganisationDirectory {
  find(id: string): Promise<{ readonly id: string; readonly name: string } | undefined>;
}

const OrganisationQuerySchema = z.object({ ...pageQuery, name: z.string().optional() });

/** `/orgs`: a caller knows its own organisation and no other. */
@Controller()
export class OrganisationsController {
  constructor(
    @Inject(ORGANISATIONS) private readonly organisations: OrganisationDirectory,
    @Inject(PROJECTS) private readonly projects: Projects,
  ) {}

  @AtlasRoute({
    method: 'GET',
    path: '/orgs',
    versions,
    access: 'authenticated',
    summary: "Lists the caller's organisation.",
    query: OrganisationQuerySchema,
  })
  async list(
    @CurrentCaller() caller: Caller,
    @ValidQuery() query: z.infer<typeof OrganisationQuerySchema>,
    @BaseUrl() base: string,
  ): Promise<Page<object>> {
    const own = await this.organisations.find(caller.orgId);
    const isAsked = own !== undefined && (query.name === undefined || own.name.startsWith(query.name));
    return pageOf(isAsked ? [orgView(own, base)] : [], query);
  }

  @AtlasRoute({ method: 'GET', path: '/orgs/:orgId', versions, access: 'authenticated', summary: "Shows the caller's organisation." })
  async get(@CurrentCaller() caller: Caller, @PathParam('orgId') orgId: string, @BaseUrl() base: string): Promise<object> {
    return orgView(await this.own(caller, orgId), base);
  }

  @AtlasRoute({
    method: 'GET',
    path: '/orgs/:orgId/groups',
    versions,
    access: 'authenticated',
    summary: 'Lists the projects of the organisation that the caller may see.',
    query: PageQuerySchema,
  })
  async groups(
    @CurrentCaller() caller: Caller,
    @PathParam('orgId') orgId: string,
    @ValidQuery() query: PageRequest,
    @BaseUrl() base: string,
  ): Promise<Page<object>> {
    await this.own(caller, orgId);
    const projects = await this.projects.visibleTo(caller);
    return pageOf(
      projects.map((project) => groupView(project, base)),
      query,
    );
  }

  /** Another organisation is answered as one that does not exist. */
  private async own(caller: Caller, orgId: string): Promise<{ readonly id: string; readonly name: string }> {
    const organisation = orgId === caller.orgId ? await this.organisations.find(orgId) : undefined;
    if (organisation === undefined) {
      const shown = orgId.slice(0, 24);
      throw new Refusal('RESOURCE_NOT_FOUND', `No organization with ID ${shown} exists.`, [shown]);
    }
    return organisation;
  }
}

const orgView = (organisation: { readonly id: string; readonly name: string }, base: string): object => ({
  id: organisation.id,
  name: organisation.name,
  isDeleted: false,
  links: [{ rel: 'self', href: `${base}/api/atlas/v2/orgs/${organisation.id}` }],
});
