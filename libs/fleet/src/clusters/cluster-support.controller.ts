import { ProcessArgsSchema, TailLogRequestSchema, type ProcessArgs, type TailLogRequest } from '@atrest/contracts';
import { AtlasRoute, PathParam, RequestSignal, ValidBody, ValidQuery, Version } from '@atrest/platform-http';
import { Controller, Inject } from '@nestjs/common';
import { z } from 'zod';
import { AgentTasks } from '../agent-channel/agent-tasks.js';
import { Refusal } from '../refusal.js';
import { AGENT_TASKS, CLUSTERS } from '../tokens.js';
import { atlasStateName } from './cluster-state.js';
import { Clusters } from './clusters.js';
import { renderProcessArgs } from './process-args.js';
import { apiTime, equalShards } from './settings/render-common.js';

const readers = { project: ['GROUP_READ_ONLY'] } as const;
const managers = { project: ['GROUP_CLUSTER_MANAGER'] } as const;

const moment = z.iso.datetime({ offset: true }).transform((text) => new Date(text));
const UsageQuerySchema = z.object({ from: moment.optional(), to: moment.optional() });
type UsageQuery = z.infer<typeof UsageQuerySchema>;

/** What clients ask of a cluster beside the cluster itself. */
@Controller()
export class ClusterSupportController {
  constructor(
    @Inject(CLUSTERS) private readonly clusters: Clusters,
    @Inject(AGENT_TASKS) private readonly tasks: AgentTasks,
  ) {}

  @AtlasRoute({
    method: 'GET',
    path: '/groups/:groupId/clusters/:clusterName/status',
    versions: ['2023-01-01'],
    access: readers,
    summary: 'Says whether every accepted change of a cluster has been applied.',
  })
  async status(@PathParam('groupId') projectId: string, @PathParam('clusterName') name: string): Promise<object> {
    const { cluster } = await this.clusters.find(projectId, name);
    const applied = atlasStateName(cluster.state) === 'IDLE' && cluster.pendingChanges === null;
    return { changeStatus: applied ? 'APPLIED' : 'PENDING' };
  }

  @AtlasRoute({
    method: 'GET',
    path: '/groups/:groupId/clusters/:clusterName/processArgs',
    versions: ['2023-01-01', '2024-08-05'],
    access: readers,
    summary: 'Shows the advanced configuration of a cluster.',
  })
  async processArgs(
    @PathParam('groupId') projectId: string,
    @PathParam('clusterName') name: string,
    @Version() version: string,
  ): Promise<object> {
    const { cluster } = await this.clusters.find(projectId, name);
    return renderProcessArgs(cluster.processArgs, version);
  }

  @AtlasRoute({
    method: 'PATCH',
    path: '/groups/:groupId/clusters/:clusterName/processArgs',
    versions: ['2023-01-01', '2024-08-05'],
    access: managers,
    summary: 'Stores the advanced configuration of a cluster. It is kept and answered; processes take their arguments from selfManaged.',
    body: ProcessArgsSchema,
  })
  async changeProcessArgs(
    @PathParam('groupId') projectId: string,
    @PathParam('clusterName') name: string,
    @ValidBody() body: ProcessArgs,
    @Version() version: string,
  ): Promise<object> {
    const cluster = await this.clusters.changeProcessArgs(projectId, name, body);
    return renderProcessArgs(cluster.processArgs, version);
  }

  @AtlasRoute({
    method: 'GET',
    path: '/groups/:groupId/clusters/:clusterName/autoScalingConfiguration',
    versions: ['2024-08-05'],
    access: readers,
    summary: 'Says whether the shards of a cluster are sized alone or together.',
  })
  async autoScaling(@PathParam('groupId') projectId: string, @PathParam('clusterName') name: string): Promise<object> {
    const { cluster } = await this.clusters.find(projectId, name);
    const alike = equalShards(cluster.settings.shards).length <= 1;
    return { autoScalingMode: alike ? 'CLUSTER_WIDE_SCALING' : 'INDEPENDENT_SHARD_SCALING' };
  }

  @AtlasRoute({
    method: 'GET',
    path: '/groups/:groupId/clusters/:clusterName/usage',
    versions: ['2023-01-01'],
    access: readers,
    summary:
      'Process hours of a cluster between two moments (default: since it was created). A disabled cluster is metered like any other.',
    query: UsageQuerySchema,
  })
  async usage(
    @PathParam('groupId') projectId: string,
    @PathParam('clusterName') name: string,
    @ValidQuery() query: UsageQuery,
  ): Promise<object> {
    const usage = await this.clusters.usage(projectId, name, { from: query.from ?? null, to: query.to ?? null });
    return {
      clusterId: usage.cluster.id,
      clusterName: usage.cluster.name,
      from: apiTime(usage.from),
      to: apiTime(usage.to),
      processes: usage.processes,
      totalHours: usage.totalHours,
    };
  }

  @AtlasRoute({
    method: 'POST',
    path: '/groups/:groupId/clusters/:clusterName/processes/:processId:tailLog',
    versions: ['2023-01-01'],
    access: managers,
    summary: "Answers the last lines of a process's log; waits up to ten seconds for the host's agent.",
    body: TailLogRequestSchema,
  })
  async tailLog(
    @PathParam('groupId') projectId: string,
    @PathParam('clusterName') name: string,
    @PathParam('processId') processId: string,
    @ValidBody() body: TailLogRequest,
    @RequestSignal() signal: AbortSignal,
  ): Promise<object> {
    const { processes } = await this.clusters.find(projectId, name);
    const process = processes.find((each) => each.id === processId);
    if (process === undefined) {
      const shown = processId.slice(0, 24);
      throw new Refusal('RESOURCE_NOT_FOUND', `No process with ID ${shown} exists in cluster ${name}.`, [shown, name]);
    }
    const result = await this.tasks.perform(process.hostId, { kind: 'tail-log', processId, lines: body.lines }, signal);
    if (result === undefined)
      throw new Refusal('SERVICE_UNAVAILABLE', `The agent of host ${process.hostname} did not answer.`, [process.hostname]);
    if (result.outcome === 'failed')
      throw new Refusal('SERVICE_UNAVAILABLE', `The agent could not read the log: ${result.error ?? 'no reason given'}`);
    return { processId, lines: result.lines ?? [] };
  }
}
