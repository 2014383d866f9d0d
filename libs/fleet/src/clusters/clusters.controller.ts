import { ClusterDocumentSchema, type ClusterDocument } from '@atrest/contracts';
import { CurrentCaller, type Caller } from '@atrest/platform-auth';
import {
  AtlasRoute,
  BaseUrl,
  page,
  pageQuery,
  PathParam,
  queryFlag,
  rowsOf,
  ValidBody,
  ValidQuery,
  Version,
  type Page,
} from '@atrest/platform-http';
import type { Clock } from '@atrest/platform-time';
import { Controller, Headers, Inject } from '@nestjs/common';
import { z } from 'zod';
import { Projects } from '../projects/projects.js';
import { CLOCK, CLUSTERS, PROJECTS } from '../tokens.js';
import type { ClusterWithProcesses } from './cluster-view.js';
import { Clusters } from './clusters.js';
import { asksForLegacyBackup, refuseLegacyBackup } from './settings/legacy-backup.js';
import { renderCluster, wantedSettings, type ClusterVersion } from './settings/render-cluster.js';

const versions = ['2023-01-01', '2023-02-01', '2024-08-05'];
const writeVersions = [...versions, '2024-10-23'];
const readers = { project: ['GROUP_READ_ONLY'] } as const;
const managers = { project: ['GROUP_CLUSTER_MANAGER'] } as const;
const owners = { project: ['GROUP_OWNER'] } as const;

const ClusterListQuerySchema = z.object({ ...pageQuery, includeDeletedWithRetainedBackups: queryFlag().default(false) });
type ClusterListQuery = z.infer<typeof ClusterListQuerySchema>;
const ClusterDeletionQuerySchema = z.object({ retainBackups: queryFlag().default(false) });

/** Terraform always sends it, with true or false. */
const EFFECTIVE_FIELDS = 'use-effective-instance-fields';

/** 2024-10-23 differs from 2024-08-05 in what Atlas does with a change, not in what a cluster looks like. */
const shapeOf = (version: string): ClusterVersion => (version === '2024-10-23' ? '2024-08-05' : (version as ClusterVersion));

/** `/groups/{groupId}/clusters`. */
@Controller()
export class ClustersController {
  constructor(
    @Inject(CLUSTERS) private readonly clusters: Clusters,
    @Inject(PROJECTS) private readonly projects: Projects,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  @AtlasRoute({
    method: 'GET',
    path: '/groups/:groupId/clusters',
    versions,
    access: readers,
    summary: 'Lists the clusters of a project.',
    query: ClusterListQuerySchema,
  })
  async list(
    @PathParam('groupId') projectId: string,
    @ValidQuery() query: ClusterListQuery,
    @Version() version: string,
    @BaseUrl() base: string,
    @Headers(EFFECTIVE_FIELDS) effective: string | undefined,
  ): Promise<Page<object>> {
    await this.projects.find(projectId);
    const { clusters, total } = await this.clusters.list(projectId, rowsOf(query));
    return page(
      clusters.map((cluster) => this.render(cluster, version, base, effective)),
      total,
      query,
    );
  }

  @AtlasRoute({
    method: 'POST',
    path: '/groups/:groupId/clusters',
    versions: writeVersions,
    access: managers,
    summary: 'Creates a cluster: on hosts with room, or from the processes named in selfManaged.',
    body: ClusterDocumentSchema,
    success: 201,
  })
  async create(
    @CurrentCaller() caller: Caller,
    @PathParam('groupId') projectId: string,
    @ValidBody() body: ClusterDocument,
    @Version() version: string,
    @BaseUrl() base: string,
    @Headers(EFFECTIVE_FIELDS) effective: string | undefined,
  ): Promise<object> {
    if (asksForLegacyBackup(version, body)) refuseLegacyBackup(body.encryptionAtRestProvider ?? 'NONE');
    return this.render(await this.clusters.create(projectId, body, rightsOf(caller, projectId)), version, base, effective);
  }

  @AtlasRoute({
    method: 'GET',
    path: '/groups/:groupId/clusters/:clusterName',
    versions,
    access: readers,
    summary: 'Shows a cluster; selfManaged has its own state, why it is disabled, and what its agents report.',
  })
  async get(
    @PathParam('groupId') projectId: string,
    @PathParam('clusterName') name: string,
    @Version() version: string,
    @BaseUrl() base: string,
    @Headers(EFFECTIVE_FIELDS) effective: string | undefined,
  ): Promise<object> {
    return this.render(await this.clusters.find(projectId, name), version, base, effective);
  }

  @AtlasRoute({
    method: 'PATCH',
    path: '/groups/:groupId/clusters/:clusterName',
    versions: writeVersions,
    access: managers,
    summary: 'Changes a cluster. An empty body changes nothing; changes to a disabled cluster wait until it is enabled.',
    body: ClusterDocumentSchema,
  })
  async update(
    @CurrentCaller() caller: Caller,
    @PathParam('groupId') projectId: string,
    @PathParam('clusterName') name: string,
    @ValidBody() body: ClusterDocument,
    @Version() version: string,
    @BaseUrl() base: string,
    @Headers(EFFECTIVE_FIELDS) effective: string | undefined,
  ): Promise<object> {
    if (asksForLegacyBackup(version, body)) {
      const { cluster } = await this.clusters.find(projectId, name);
      refuseLegacyBackup(body.encryptionAtRestProvider ?? wantedSettings(cluster).encryptionAtRestProvider);
    }
    return this.render(await this.clusters.update(projectId, name, body, rightsOf(caller, projectId)), version, base, effective);
  }

  @AtlasRoute({
    method: 'DELETE',
    path: '/groups/:groupId/clusters/:clusterName',
    versions: ['2023-01-01', '2023-02-01'],
    access: owners,
    summary: 'Deletes a cluster with the data that Atrest made for it. Adopted processes keep theirs.',
    query: ClusterDeletionQuerySchema,
    success: 202,
  })
  async delete(
    @PathParam('groupId') projectId: string,
    @PathParam('clusterName') name: string,
    @ValidQuery() query: z.infer<typeof ClusterDeletionQuerySchema>,
  ): Promise<object> {
    await this.clusters.delete(projectId, name, query);
    return {};
  }

  private render(view: ClusterWithProcesses, version: string, base: string, effective: string | undefined): object {
    const { projectId, name } = view.cluster;
    return renderCluster(view, shapeOf(version), {
      now: this.clock.now(),
      effectiveFields: effective === 'true',
      self: `${base}/api/atlas/v2/groups/${projectId}/clusters/${name}`,
    });
  }
}

const rightsOf = (caller: Caller, projectId: string): { isOwner: boolean } => ({
  isOwner: caller.hasRole('GROUP_OWNER', projectId),
});
