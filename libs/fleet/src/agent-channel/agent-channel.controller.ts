import {
  AgentTaskResultSchema,
  EnrolmentRequestSchema,
  EnrolmentResponseSchema,
  ObservationReportSchema,
  PollResponseSchema,
  type AgentTaskResult,
  type EnrolmentRequest,
  type EnrolmentResponse,
  type ObservationReport,
  type PollResponse,
} from '@atrest/contracts';
import { CurrentAgent, type AgentCaller } from '@atrest/platform-auth';
import { answer, AtlasRoute, queryInteger, RequestSignal, ValidBody, ValidQuery, type Answer } from '@atrest/platform-http';
import { Controller, Inject } from '@nestjs/common';
import { z } from 'zod';
import { BackupTasks } from '../backup-tasks/backup-tasks.js';
import { Enrolment } from '../hosts/enrolment.js';
import { AGENT_TASKS, BACKUP_TASKS, ENROLMENT, GOAL_POLL, OBSERVATIONS } from '../tokens.js';
import { AgentTasks } from './agent-tasks.js';
import { GoalPoll } from './goal-poll.js';
import { Observations } from './observations.js';

const PollQuerySchema = z.object({
  /** The goal the agent has; 0 when it has none. */
  goalVersion: queryInteger({ min: 0, max: 2_000_000_000 }).default(0),
  waitSeconds: queryInteger({ min: 0, max: 30 }).default(0),
});
type PollQuery = z.infer<typeof PollQuerySchema>;

/** `/agent/v1`: what agents ask and report. Not part of the Atlas API. */
@Controller()
export class AgentChannelController {
  constructor(
    @Inject(ENROLMENT) private readonly enrolment: Enrolment,
    @Inject(GOAL_POLL) private readonly goals: GoalPoll,
    @Inject(OBSERVATIONS) private readonly observations: Observations,
    @Inject(AGENT_TASKS) private readonly tasks: AgentTasks,
    @Inject(BACKUP_TASKS) private readonly backupTasks: BackupTasks,
  ) {}

  @AtlasRoute({
    method: 'POST',
    path: '/agent/v1/enrol',
    access: 'public',
    summary: 'Enrols a host with a one-time token.',
    body: EnrolmentRequestSchema,
    response: EnrolmentResponseSchema,
  })
  enrol(@ValidBody() body: EnrolmentRequest): Promise<EnrolmentResponse> {
    return this.enrolment.enrol(body);
  }

  @AtlasRoute({
    method: 'GET',
    path: '/agent/v1/poll',
    access: 'agent',
    summary: "Waits for something newer than the goal the agent has: the host's goal, tasks; 204 when nothing is.",
    query: PollQuerySchema,
    response: PollResponseSchema,
  })
  async poll(
    @CurrentAgent() agent: AgentCaller,
    @ValidQuery() query: PollQuery,
    @RequestSignal() signal: AbortSignal,
  ): Promise<PollResponse | Answer<undefined>> {
    const found = await this.goals.poll(agent.hostId, { goalVersion: query.goalVersion, waitMs: query.waitSeconds * 1_000, signal });
    return found ?? answer(undefined, { status: 204 });
  }

  @AtlasRoute({
    method: 'POST',
    path: '/agent/v1/observations',
    access: 'agent',
    summary: "Takes in what the agent sees of its host's processes.",
    body: ObservationReportSchema,
    success: 204,
  })
  async report(@CurrentAgent() agent: AgentCaller, @ValidBody() body: ObservationReport): Promise<void> {
    await this.observations.record(agent.hostId, body);
  }

  @AtlasRoute({
    method: 'POST',
    path: '/agent/v1/task-results',
    access: 'agent',
    summary: 'Takes in the result of a task. A result that comes twice counts once.',
    body: AgentTaskResultSchema,
    success: 204,
  })
  async finish(@CurrentAgent() agent: AgentCaller, @ValidBody() body: AgentTaskResult): Promise<void> {
    if ((await this.backupTasks.finish(agent.hostId, body)) === 'unknown') await this.tasks.finish(agent.hostId, body);
  }
}
