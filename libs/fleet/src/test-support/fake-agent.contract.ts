import {
  EnrolmentResponseSchema,
  PollResponseSchema,
  type AgentTaskResult,
  type EnrolmentRequest,
  type HostGoal,
  type PollResponse,
  type ProcessGoal,
  type ProcessObservation,
} from '@atrest/contracts';
import type { Clock } from '@atrest/platform-time';
import { observation } from './process-views.contract.js';

export type FakeAgentOptions = Omit<EnrolmentRequest, 'token'>;

/**
 * An agent without processes that speaks the channel over HTTP: it takes goals and, unless told otherwise, reports that they are reached. The first member of a
 * set that runs is its primary.
 */
export class FakeAgent {
  goal: HostGoal | null = null;
  /** What it claims about a process, over what the goal would make it say; null: it does not name it. */
  readonly claims = new Map<string, Partial<ProcessObservation> | null>();

  private constructor(
    /** The replica it speaks to. */
    public url: string,
    private readonly clock: Clock,
    readonly hostId: string,
    readonly credential: string,
  ) {}

  static async enrol(url: string, clock: Clock, token: string, o: Partial<FakeAgentOptions> = {}): Promise<FakeAgent> {
    const response = await fetch(`${url}/agent/v1/enrol`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        token,
        hostname: '127.0.0.1',
        dataFolder: '/var/lib/atrest',
        portRange: { first: 27017, last: 27117 },
        capacity: 50,
        allowsColocation: true,
        agentVersion: '0.1.0',
        ...o,
      }),
    });
    if (response.status !== 200) throw new Error(`enrolment refused: ${response.status} ${await response.text()}`);
    const { hostId, credential } = EnrolmentResponseSchema.parse(await response.json());
    return new FakeAgent(url, clock, hostId, credential);
  }

  get processes(): readonly ProcessGoal[] {
    return this.goal?.processes ?? [];
  }

  async request(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
    return fetch(`${this.url}/agent/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${this.credential}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(signal && { signal }),
    });
  }

  /** Null: nothing is new. */
  async poll(
    o: { readonly goalVersion?: number; readonly waitSeconds?: number; readonly signal?: AbortSignal } = {},
  ): Promise<PollResponse | null> {
    const version = o.goalVersion ?? this.goal?.version ?? 0;
    const response = await this.request('GET', `/poll?goalVersion=${version}&waitSeconds=${o.waitSeconds ?? 0}`, undefined, o.signal);
    if (response.status === 204) return null;
    if (response.status !== 200) throw new Error(`poll: ${response.status} ${await response.text()}`);
    return PollResponseSchema.parse(await response.json());
  }

  async take(): Promise<void> {
    const answer = await this.poll();
    if (answer?.goal) this.goal = answer.goal;
  }

  async report(o: { readonly goalVersion?: number } = {}): Promise<void> {
    const response = await this.request('POST', '/observations', {
      goalVersion: o.goalVersion ?? this.goal?.version ?? 0,
      observedAt: this.clock.now().toISOString(),
      agentVersion: '0.1.0',
      processes: this.processes.flatMap((process) => this.observe(process)),
    });
    if (response.status !== 204) throw new Error(`report: ${response.status} ${await response.text()}`);
  }

  /** Polls, obeys, reports. */
  async sync(): Promise<void> {
    await this.take();
    await this.report();
  }

  finish(result: AgentTaskResult): Promise<Response> {
    return this.request('POST', '/task-results', result);
  }

  private observe(goal: ProcessGoal): ProcessObservation[] {
    const claim = this.claims.get(goal.id);
    if (claim === null) return [];
    if (goal.desired === 'removed' && claim === undefined) return [];
    const running = goal.desired === 'running';
    const leads = goal.kind === 'mongos' || goal.replicaSet?.members[0]?.host.endsWith(`:${goal.port}`) === true;
    return [observation(goal.id, { status: running ? 'running' : 'stopped', writable: running && leads, ...claim })];
  }
}
