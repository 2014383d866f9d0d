import { GroupChangeSchema, GroupCreationSchema, type GroupChange, type GroupCreation } from '@atrest/contracts';
import { CurrentCaller, type Caller } from '@atrest/platform-auth';
import {
  answer,
  AtlasRoute,
  BaseUrl,
  pageOf,
  PageQuerySchema,
  PathParam,
  ValidBody,
  ValidQuery,
  type Answer,
  type Page,
  type PageRequest,
} from '@atrest/platform-http';
import { Controller, Inject } from '@nestjs/common';
import { apiTime } from '../clusters/settings/render-common.js';
import { PROJECTS } from '../tokens.js';
import { Projects } from './projects.js';
import type { ProjectWithCount } from './projects.repository.js';

const versions = ['2023-01-01'];
const readers = { project: ['GROUP_READ_ONLY'] } as const;
const owners = { project: ['GROUP_OWNER'] } as const;

const hrefOf = (base: string, projectId: string): string => `${base}/api/atlas/v2/groups/${projectId}`;

/** A project as the Atlas API shows it (a 'group' there). */
export function groupView(project: ProjectWithCount, base: string): object {
  return {
    id: project.id,
    orgId: project.orgId,
    name: project.name,
    clusterCount: project.clusterCount,
    created: apiTime(project.createdAt),
    regionUsageRestrictions: project.regionUsageRestrictions,
    tags: project.tags,
    links: [{ rel: 'self', href: hrefOf(base, project.id) }],
  };
}

/** `/groups`. */
@Controller()
export class ProjectsController {
  constructor(@Inject(PROJECTS) private readonly projects: Projects) {}

  @AtlasRoute({
    method: 'GET',
    path: '/groups',
    versions,
    access: 'authenticated',
    summary: 'Lists the projects that the caller may see.',
    query: PageQuerySchema,
  })
  async list(@CurrentCaller() caller: Caller, @ValidQuery() query: PageRequest, @BaseUrl() base: string): Promise<Page<object>> {
    const projects = await this.projects.visibleTo(caller);
    return pageOf(
      projects.map((project) => groupView(project, base)),
      query,
    );
  }

  @AtlasRoute({
    method: 'POST',
    path: '/groups',
    versions,
    access: 'authenticated',
    summary: 'Creates a project.',
    body: GroupCreationSchema,
    success: 201,
  })
  async create(@CurrentCaller() caller: Caller, @ValidBody() body: GroupCreation, @BaseUrl() base: string): Promise<Answer<object>> {
    const project = await this.projects.create(caller, body);
    return answer(groupView(project, base), { headers: { location: hrefOf(base, project.id) } });
  }

  @AtlasRoute({
    method: 'GET',
    path: '/groups/byName/:groupName',
    versions,
    access: 'authenticated',
    summary: 'Shows the project of a name.',
  })
  async getByName(@CurrentCaller() caller: Caller, @PathParam('groupName') name: string, @BaseUrl() base: string): Promise<object> {
    return groupView(await this.projects.findByName(caller, name), base);
  }

  @AtlasRoute({ method: 'GET', path: '/groups/:groupId', versions, access: readers, summary: 'Shows a project.' })
  async get(@PathParam('groupId') projectId: string, @BaseUrl() base: string): Promise<object> {
    return groupView(await this.projects.find(projectId), base);
  }

  @AtlasRoute({
    method: 'PATCH',
    path: '/groups/:groupId',
    versions,
    access: owners,
    summary: 'Changes the name or the tags of a project.',
    body: GroupChangeSchema,
  })
  async update(@PathParam('groupId') projectId: string, @ValidBody() body: GroupChange, @BaseUrl() base: string): Promise<object> {
    return groupView(await this.projects.update(projectId, body), base);
  }

  @AtlasRoute({
    method: 'DELETE',
    path: '/groups/:groupId',
    versions,
    access: owners,
    summary: 'Deletes a project that has no clusters.',
    success: 202,
  })
  async delete(@PathParam('groupId') projectId: string): Promise<object> {
    await this.projects.delete(projectId);
    return {};
  }

  @AtlasRoute({
    method: 'GET',
    path: '/groups/:groupId/settings',
    versions,
    access: readers,
    summary: "Shows a project's settings. They are fixed: none of them is about clusters that you run yourself.",
  })
  async settings(@PathParam('groupId') projectId: string): Promise<object> {
    await this.projects.find(projectId);
    return {
      isCollectDatabaseSpecificsStatisticsEnabled: false,
      isDataExplorerEnabled: false,
      isDataExplorerGenAIFeaturesEnabled: false,
      isDataExplorerGenAISampleDocumentPassingEnabled: false,
      isExtendedStorageSizesEnabled: false,
      isPerformanceAdvisorEnabled: false,
      isRealtimePerformancePanelEnabled: false,
      isSchemaAdvisorEnabled: false,
    };
  }
}
