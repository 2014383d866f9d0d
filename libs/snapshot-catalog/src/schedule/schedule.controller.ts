import { Controller, Inject } from '@nestjs/common';
import {
  BackupScheduleChangeSchema,
  BackupScheduleViewSchema,
  type BackupScheduleChange,
  type BackupScheduleView,
} from '@atrest/contracts';
import { AtlasRoute, BaseUrl, PathParam, ValidBody } from '@atrest/platform-http';
import { answer } from '../http-answer.js';
import { Schedules } from './schedules.js';

/** Both have the same fields here: the newer one differs in copies to other regions, which do not exist. */
const VERSIONS = ['2023-01-01', '2024-08-05'];
const SCHEDULE = '/groups/:groupId/clusters/:clusterName/backup/schedule';
const managers = { project: ['GROUP_BACKUP_MANAGER', 'GROUP_OWNER'] } as const;

/** The snapshot schedule of a cluster: the Atlas operations. */
@Controller()
export class ScheduleController {
  constructor(@Inject(Schedules) private readonly schedules: Schedules) {}

  @AtlasRoute({
    method: 'GET',
    path: SCHEDULE,
    versions: VERSIONS,
    access: { project: ['GROUP_READ_ONLY'] },
    summary: 'Returns the snapshot schedule of a cluster; selfManaged says whether it pauses, and why.',
    response: BackupScheduleViewSchema,
  })
  async read(
    @PathParam('groupId') projectId: string,
    @PathParam('clusterName') clusterName: string,
    @BaseUrl() base: string,
  ): Promise<BackupScheduleView> {
    return answer(await this.schedules.read(projectId, clusterName, base));
  }

  @AtlasRoute({
    method: 'PATCH',
    path: SCHEDULE,
    versions: VERSIONS,
    access: managers,
    summary:
      'Changes the snapshot schedule of a cluster: what is absent stays. Snapshots that are there change only with updateSnapshots or deleteSnapshots.',
    body: BackupScheduleChangeSchema,
    response: BackupScheduleViewSchema,
  })
  async change(
    @PathParam('groupId') projectId: string,
    @PathParam('clusterName') clusterName: string,
    @ValidBody() body: BackupScheduleChange,
    @BaseUrl() base: string,
  ): Promise<BackupScheduleView> {
    return answer(await this.schedules.change(projectId, clusterName, body, base));
  }

  @AtlasRoute({
    method: 'DELETE',
    path: SCHEDULE,
    versions: VERSIONS,
    access: managers,
    summary: 'Takes every item out of the snapshot schedule of a cluster.',
    response: BackupScheduleViewSchema,
  })
  async clear(
    @PathParam('groupId') projectId: string,
    @PathParam('clusterName') clusterName: string,
    @BaseUrl() base: string,
  ): Promise<BackupScheduleView> {
    return answer(await this.schedules.clear(projectId, clusterName, base));
  }
}
