import { AtlasRoute, pageOf, PageQuerySchema, PathParam, ValidQuery, type Page, type PageRequest } from '@atrest/platform-http';
import { Controller, Inject } from '@nestjs/common';
import { Projects } from '../projects/projects.js';
import { Refusal } from '../refusal.js';
import { CLUSTERS, PROJECTS } from '../tokens.js';
import { Clusters } from './clusters.js';

const versions = ['2024-11-13'];
const access = { project: ['GROUP_READ_ONLY'] } as const;

/**
 * Flex clusters do not exist here. Clients ask all the same: the Atlas CLI looks here before every look at a snapshot or restore and goes on only when it is
 * told, in exactly these words, that the cluster is none.
 */
@Controller()
export class FlexController {
  constructor(
    @Inject(CLUSTERS) private readonly clusters: Clusters,
    @Inject(PROJECTS) private readonly projects: Projects,
  ) {}

  @AtlasRoute({
    method: 'GET',
    path: '/groups/:groupId/flexClusters',
    versions,
    access,
    summary: 'Lists no Flex clusters: there are none.',
    query: PageQuerySchema,
  })
  async list(@PathParam('groupId') projectId: string, @ValidQuery() query: PageRequest): Promise<Page<object>> {
    await this.projects.find(projectId);
    return pageOf<object>([], query);
  }

  @AtlasRoute({
    method: 'GET',
    path: '/groups/:groupId/flexClusters/:name',
    versions,
    access,
    summary: 'Says that a cluster is no Flex cluster.',
  })
  get(@PathParam('groupId') projectId: string, @PathParam('name') name: string): Promise<never> {
    return this.refuse(projectId, name);
  }

  @AtlasRoute({
    method: 'GET',
    path: '/groups/:groupId/flexClusters/:name/backup/snapshots',
    versions,
    access,
    summary: 'Says that a cluster is no Flex cluster.',
  })
  snapshots(@PathParam('groupId') projectId: string, @PathParam('name') name: string): Promise<never> {
    return this.refuse(projectId, name);
  }

  @AtlasRoute({
    method: 'GET',
    path: '/groups/:groupId/flexClusters/:name/backup/snapshots/:snapshotId',
    versions,
    access,
    summary: 'Says that a cluster is no Flex cluster.',
  })
  snapshot(@PathParam('groupId') projectId: string, @PathParam('name') name: string): Promise<never> {
    return this.refuse(projectId, name);
  }

  @AtlasRoute({
    method: 'GET',
    path: '/groups/:groupId/flexClusters/:name/backup/restoreJobs',
    versions,
    access,
    summary: 'Says that a cluster is no Flex cluster.',
  })
  restoreJobs(@PathParam('groupId') projectId: string, @PathParam('name') name: string): Promise<never> {
    return this.refuse(projectId, name);
  }

  @AtlasRoute({
    method: 'GET',
    path: '/groups/:groupId/flexClusters/:name/backup/restoreJobs/:restoreJobId',
    versions,
    access,
    summary: 'Says that a cluster is no Flex cluster.',
  })
  restoreJob(@PathParam('groupId') projectId: string, @PathParam('name') name: string): Promise<never> {
    return this.refuse(projectId, name);
  }

  /** An unknown cluster is CLUSTER_NOT_FOUND, which the CLI takes as well. */
  private async refuse(projectId: string, name: string): Promise<never> {
    await this.clusters.find(projectId, name);
    throw new Refusal('CANNOT_USE_NON_FLEX_CLUSTER_IN_FLEX_API', `Cannot use non-flex cluster ${name} in the flex API.`, [name]);
  }
}
