import { Controller, Inject } from '@nestjs/common';
import {
  SnapshotRequestSchema,
  SnapshotRetentionChangeSchema,
  SnapshotViewSchema,
  type SnapshotRequest,
  type SnapshotRetentionChange,
  type SnapshotView,
} from '@atrest/contracts';
import {
  AtlasRoute,
  BaseUrl,
  invalidQueryParameter,
  page,
  pageOf,
  pageQuery,
  PageQuerySchema,
  PathParam,
  queryInteger,
  rowsOf,
  ValidBody,
  ValidQuery,
  type Page,
  type PageRequest,
} from '@atrest/platform-http';
import { z } from 'zod';
import { answer } from '../http-answer.js';
import { toView } from './snapshot-answers.js';
import { snapshotNotFound, Snapshots, type ListRequest, type Shown } from './snapshots.js';

const VERSIONS = ['2023-01-01'];
const BACKUP = '/groups/:groupId/clusters/:clusterName/backup';
const SNAPSHOTS = `${BACKUP}/snapshots`;
const readers = { project: ['GROUP_READ_ONLY'] } as const;
const managers = { project: ['GROUP_BACKUP_MANAGER', 'GROUP_OWNER'] } as const;

/** 2038 and more: what a 32-bit time of an optime holds. */
const seconds = queryInteger({ min: 1, max: 4_294_967_295 });

const SnapshotListQuerySchema = z.object({
  ...pageQuery,
  pointInTimeUtcSeconds: seconds.optional(),
  oplogTs: seconds.optional(),
  oplogInc: queryInteger({ min: 1, max: 4_294_967_295 }).optional(),
});
type SnapshotListQuery = z.infer<typeof SnapshotListQuerySchema>;

/** Snapshots of a cluster: the Atlas operations, and cancelling. */
@Controller()
export class SnapshotsController {
  constructor(@Inject(Snapshots) private readonly snapshots: Snapshots) {}

  @AtlasRoute({
    method: 'GET',
    path: SNAPSHOTS,
    versions: VERSIONS,
    access: readers,
    summary: 'Lists the snapshots of a cluster, the newest first; with a moment, only the nearest completed one before it.',
    query: SnapshotListQuerySchema,
    response: z.object({ results: z.array(SnapshotViewSchema), totalCount: z.int().optional() }),
  })
  async list(
    @PathParam('groupId') projectId: string,
    @PathParam('clusterName') clusterName: string,
    @ValidQuery() query: SnapshotListQuery,
    @BaseUrl() base: string,
  ): Promise<Page<SnapshotView>> {
    const { snapshots, total, configurations } = answer(
      await this.snapshots.list(projectId, clusterName, { ...rowsOf(query), ...momentOf(query) }),
    );
    return page(
      snapshots.map((snapshot) => toView(snapshot, { base, configurations })),
      total,
      query,
    );
  }

  @AtlasRoute({
    method: 'POST',
    path: SNAPSHOTS,
    versions: VERSIONS,
    access: managers,
    summary: 'Takes a snapshot on demand. One at a time; it is queued while the schedule takes one.',
    body: SnapshotRequestSchema,
    response: SnapshotViewSchema,
  })
  async take(
    @PathParam('groupId') projectId: string,
    @PathParam('clusterName') clusterName: string,
    @ValidBody() body: SnapshotRequest,
    @BaseUrl() base: string,
  ): Promise<SnapshotView> {
    return view(answer(await this.snapshots.take(projectId, clusterName, body)), base);
  }

  @AtlasRoute({
    method: 'GET',
    path: `${SNAPSHOTS}/shardedClusters`,
    versions: VERSIONS,
    access: readers,
    summary: 'Lists the snapshots of a sharded cluster, the newest first; of a replica set, none.',
    query: PageQuerySchema,
    response: z.object({ results: z.array(SnapshotViewSchema), totalCount: z.int().optional() }),
  })
  async listSharded(
    @PathParam('groupId') projectId: string,
    @PathParam('clusterName') clusterName: string,
    @ValidQuery() query: PageRequest,
    @BaseUrl() base: string,
  ): Promise<Page<SnapshotView>> {
    if (answer(await this.snapshots.sharded(projectId, clusterName)) === 'replica-set') return pageOf<SnapshotView>([], query);
    return this.list(projectId, clusterName, query, base);
  }

  @AtlasRoute({
    method: 'GET',
    path: `${SNAPSHOTS}/shardedCluster/:snapshotId`,
    versions: VERSIONS,
    access: readers,
    summary: 'Returns a snapshot of a sharded cluster, with its parts: one for each shard and one of the config servers.',
    response: SnapshotViewSchema,
  })
  async getSharded(
    @PathParam('groupId') projectId: string,
    @PathParam('clusterName') clusterName: string,
    @PathParam('snapshotId') id: string,
    @BaseUrl() base: string,
  ): Promise<SnapshotView> {
    await this.knownSharded(projectId, clusterName, id);
    return this.get(projectId, clusterName, id, base);
  }

  @AtlasRoute({
    method: 'DELETE',
    path: `${SNAPSHOTS}/shardedCluster/:snapshotId`,
    versions: VERSIONS,
    access: managers,
    summary: 'Deletes a snapshot of a sharded cluster, all of its parts; what they alone need in the store is freed soon after.',
    success: 204,
  })
  async deleteSharded(
    @PathParam('groupId') projectId: string,
    @PathParam('clusterName') clusterName: string,
    @PathParam('snapshotId') id: string,
  ): Promise<void> {
    await this.knownSharded(projectId, clusterName, id);
    await this.delete(projectId, clusterName, id);
  }

  @AtlasRoute({
    method: 'GET',
    path: `${SNAPSHOTS}/:snapshotId`,
    versions: VERSIONS,
    access: readers,
    summary: 'Returns a snapshot; selfManaged has its encryption key id, progress, member, proof, and whether it could be restored.',
    response: SnapshotViewSchema,
  })
  async get(
    @PathParam('groupId') projectId: string,
    @PathParam('clusterName') clusterName: string,
    @PathParam('snapshotId') id: string,
    @BaseUrl() base: string,
  ): Promise<SnapshotView> {
    return view(answer(await this.snapshots.get(projectId, clusterName, id)), base);
  }

  @AtlasRoute({
    method: 'PATCH',
    path: `${SNAPSHOTS}/:snapshotId`,
    versions: VERSIONS,
    access: managers,
    summary: 'Keeps a snapshot for longer or shorter, counted from its completion.',
    body: SnapshotRetentionChangeSchema,
    response: SnapshotViewSchema,
  })
  async changeRetention(
    @PathParam('groupId') projectId: string,
    @PathParam('clusterName') clusterName: string,
    @PathParam('snapshotId') id: string,
    @ValidBody() body: SnapshotRetentionChange,
    @BaseUrl() base: string,
  ): Promise<SnapshotView> {
    return view(answer(await this.snapshots.changeRetention(projectId, clusterName, id, body)), base);
  }

  @AtlasRoute({
    method: 'DELETE',
    path: `${SNAPSHOTS}/:snapshotId`,
    versions: VERSIONS,
    access: managers,
    summary: 'Deletes a snapshot; what it alone needs in the store is freed soon after.',
    success: 204,
  })
  async delete(
    @PathParam('groupId') projectId: string,
    @PathParam('clusterName') clusterName: string,
    @PathParam('snapshotId') id: string,
  ): Promise<void> {
    answer(await this.snapshots.delete(projectId, clusterName, id));
  }

  @AtlasRoute({
    method: 'POST',
    path: `${SNAPSHOTS}/:snapshotId:cancel`,
    versions: VERSIONS,
    access: managers,
    summary: 'Cancels a snapshot that is queued or in progress. It fails with CANCELLED as soon as nothing of it is left.',
    response: SnapshotViewSchema,
  })
  async cancel(
    @PathParam('groupId') projectId: string,
    @PathParam('clusterName') clusterName: string,
    @PathParam('snapshotId') id: string,
    @BaseUrl() base: string,
  ): Promise<SnapshotView> {
    return view(answer(await this.snapshots.cancel(projectId, clusterName, id)), base);
  }

  private async knownSharded(projectId: string, clusterName: string, id: string): Promise<void> {
    if (answer(await this.snapshots.sharded(projectId, clusterName)) === 'replica-set') answer<never>(snapshotNotFound(id, clusterName));
  }
}

const view = ({ snapshot, configurations }: Shown, base: string): SnapshotView => toView(snapshot, { base, configurations });

function momentOf({ pointInTimeUtcSeconds, oplogTs, oplogInc }: SnapshotListQuery): Pick<ListRequest, 'before'> {
  if (pointInTimeUtcSeconds !== undefined) {
    if (oplogTs !== undefined || oplogInc !== undefined)
      throw invalidQueryParameter('pointInTimeUtcSeconds', 'excludes oplogTs and oplogInc');
    return { before: new Date(pointInTimeUtcSeconds * 1_000) };
  }
  if (oplogTs === undefined && oplogInc === undefined) return {};
  if (oplogTs === undefined) throw invalidQueryParameter('oplogInc', 'needs oplogTs');
  if (oplogInc === undefined) throw invalidQueryParameter('oplogTs', 'needs oplogInc');
  return { before: { seconds: oplogTs, increment: oplogInc } };
}
