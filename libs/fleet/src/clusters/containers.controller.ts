import { AtlasRoute, pageOf, pageQuery, PageQuerySchema, PathParam, ValidQuery, type Page, type PageRequest } from '@atrest/platform-http';
import { Controller, Inject } from '@nestjs/common';
import { z } from 'zod';
import { Projects } from '../projects/projects.js';
import { CLUSTERS, PROJECTS } from '../tokens.js';
import { Clusters } from './clusters.js';
import { containersOf } from './containers.js';

const versions = ['2023-01-01'];
const access = { project: ['GROUP_READ_ONLY'] } as const;

const ContainerQuerySchema = z.object({ ...pageQuery, providerName: z.enum(['AWS', 'AZURE', 'GCP']) });
type ContainerQuery = z.infer<typeof ContainerQuerySchema>;

/** More clusters than a project has in practice. */
const ALL = { offset: 0, limit: 10_000 };

/** `/groups/{groupId}/containers`: without one for its region, Terraform does not believe in a cluster. */
@Controller()
export class ContainersController {
  constructor(
    @Inject(CLUSTERS) private readonly clusters: Clusters,
    @Inject(PROJECTS) private readonly projects: Projects,
  ) {}

  @AtlasRoute({
    method: 'GET',
    path: '/groups/:groupId/containers',
    versions,
    access,
    summary: 'Lists the network containers of one cloud provider.',
    query: ContainerQuerySchema,
  })
  async list(@PathParam('groupId') projectId: string, @ValidQuery() query: ContainerQuery): Promise<Page<object>> {
    const containers = await this.containers(projectId);
    return pageOf(
      containers.filter((container) => (container as { providerName: string }).providerName === query.providerName),
      query,
    );
  }

  @AtlasRoute({
    method: 'GET',
    path: '/groups/:groupId/containers/all',
    versions,
    access,
    summary: 'Lists the network containers of all cloud providers.',
    query: PageQuerySchema,
  })
  async all(@PathParam('groupId') projectId: string, @ValidQuery() query: PageRequest): Promise<Page<object>> {
    return pageOf(await this.containers(projectId), query);
  }

  private async containers(projectId: string): Promise<object[]> {
    await this.projects.find(projectId);
    const { clusters } = await this.clusters.list(projectId, ALL);
    return containersOf(
      projectId,
      clusters.flatMap(({ cluster }) => cluster.settings.shards.flatMap((shard) => shard.regions)),
    );
  }
}
