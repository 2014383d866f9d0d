import {
  EnrolmentResponseSchema,
  PollResponseSchema,
  ProcessAccessSecretSchema,
  SealingPublicKeySchema,
  type AgentTaskResult,
  type BackupProgress,
  type BackupTask,
  type EnrolmentRequest,
  type HostGoal,
  type ObservationReport,
  type OplogTime,
  type PollResponse,
  type ProcessAccessSecret,
  type ProcessGoal,
  type ProcessObservation,
  type SealingPublicKey,
} from '@atrest/contracts';
import type { Clock } from '@atrest/platform-time';
import { compactDecrypt } from 'jose';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { observation } from './process-views.contract.js';

const progressAt = (bytes: number, now: Date): BackupProgress => ({
  phase: 'copying',
  files: 1,
  filesTotal: 10,
  bytes,
  bytesTotal: 1_000,
  storedBytes: 0,
  bytesPerSecond: null,
  secondsLeft: null,
  at: now.toISOString(),
});

export type FakeAgentOptions = Omit<EnrolmentRequest, 'token'>;

/**
 * An agent without processes that speaks the channel over HTTP: it takes goals and, unless told otherwise, reports that they are reached. The first member of a
 * set that runs here, and does not yield to another one, is its primary.
 */
export class FakeAgent {
  goal: HostGoal | null = null;
  /** What it claims about a process, over what the goal would make it say; null: it does not name it. */
  readonly claims = new Map<string, Partial<ProcessObservation> | null>();
  /** Processes whose set will not let go of them. */
  readonly keepsMembers = new Set<string>();
  /** Shards that its leading mongos lists; it says nothing of them while there is none. */
  readonly knownShards = new Set<string>();
  /** Whether members that it runs may be primary: where each host has one member of a set, all but one host say no. */
  electable = true;
  /** Where it keeps snapshots: nowhere, until it is {@link equip}ped. */
  snapshotStore: string | null = null;
  /** Every task for snapshots that it was given, as often as it was. */
  readonly given: BackupTask[] = [];
  /** Every task that it was told to end, as often as it was. */
  readonly cancelled: string[] = [];
  /** Where it was told to cut what it holds, as often as it was. */
  readonly cuts: NonNullable<PollResponse['cuts']> = [];
  /** What it says that it works on. */
  readonly works = new Map<string, BackupProgress>();
  /** What runs here, with the version of its arguments. */
  private readonly runs = new Map<string, number>();

  /** What secrets for the host are sealed for; the agent of a host that lost its state folder has another one. */
  sealingKey: SealingPublicKey | undefined;
  private privateKey: KeyObject | undefined;

  private constructor(
    /** The replica it speaks to. */
    public url: string,
    private readonly clock: Clock,
    readonly hostId: string,
    readonly credential: string,
  ) {}

  static async enrol(
    url: string,
    clock: Clock,
    token: string,
    o: { readonly [K in keyof FakeAgentOptions]?: FakeAgentOptions[K] | undefined } = {},
  ): Promise<FakeAgent> {
    const pair = keyPair();
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
        sealingKey: pair.publicJwk,
        ...o,
      }),
    });
    if (response.status !== 200) throw new Error(`enrolment refused: ${response.status} ${await response.text()}`);
    const { hostId, credential } = EnrolmentResponseSchema.parse(await response.json());
    const agent = new FakeAgent(url, clock, hostId, credential);
    if (!('sealingKey' in o)) agent.use(pair);
    return agent;
  }

  /** As after the loss of its state folder. */
  makeSealingKey(): void {
    this.use(keyPair());
  }

  /** What was sealed for this host about a process. */
  async accessTo(processId: string): Promise<ProcessAccessSecret | null> {
    const sealed = this.processes.find((each) => each.id === processId)?.access?.sealed;
    if (sealed === undefined || this.privateKey === undefined) return null;
    const { plaintext } = await compactDecrypt(sealed, this.privateKey);
    return ProcessAccessSecretSchema.parse(JSON.parse(new TextDecoder().decode(plaintext)));
  }

  private use({ publicJwk, privateKey }: ReturnType<typeof keyPair>): void {
    this.sealingKey = publicJwk;
    this.privateKey = privateKey;
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
    for (const task of answer?.tasks ?? []) if (task.kind !== 'tail-log') this.given.push(task);
    this.cancelled.push(...(answer?.cancelled ?? []));
    this.cuts.push(...(answer?.cuts ?? []));
  }

  /** From its next report on it has a snapshot store, and a key of its own to seal for; another one each time. */
  equip(snapshotStore = '/var/lib/atrest/snapshots'): void {
    this.snapshotStore = snapshotStore;
    this.makeSealingKey();
  }

  /** It says from its next report on that it works on a task. */
  workOn(taskId: string, bytes = 0): void {
    this.works.set(taskId, progressAt(bytes, this.clock.now()));
  }

  /** It says from its next report on that a part of a sharded cluster is held. */
  hold(taskId: string, oplogEnd: OplogTime): void {
    this.works.set(taskId, { ...progressAt(0, this.clock.now()), phase: 'holding', oplogEnd });
  }

  async report(o: { readonly goalVersion?: number; readonly number?: ObservationReport['number'] } = {}): Promise<void> {
    const response = await this.request('POST', '/observations', {
      goalVersion: o.goalVersion ?? this.goal?.version ?? 0,
      observedAt: this.clock.now().toISOString(),
      agentVersion: '0.1.0',
      ...(o.number && { number: o.number }),
      processes: this.processes.flatMap((process) => this.observe(process)),
      ...(this.sealingKey && { sealingKey: this.sealingKey }),
      snapshotStore: this.snapshotStore,
      tasks: [...this.works].map(([taskId, progress]) => ({ taskId, progress })),
    });
    if (response.status !== 204) throw new Error(`report: ${response.status} ${await response.text()}`);
  }

  /** Polls, obeys, reports. */
  async sync(): Promise<void> {
    await this.take();
    await this.report();
  }

  /** It is done with a task, and says so. */
  finish(result: AgentTaskResult): Promise<Response> {
    this.works.delete(result.taskId);
    return this.request('POST', '/task-results', result);
  }

  private observe(goal: ProcessGoal): ProcessObservation[] {
    const claim = this.claims.get(goal.id);
    if (claim === null) return [];
    if (goal.desired === 'removed' && claim === undefined) return [];
    const running = goal.desired === 'running';
    if (running) this.runs.set(goal.id, this.runs.get(goal.id) ?? goal.argumentsVersion ?? 0);
    else this.runs.delete(goal.id);
    return [
      observation(goal.id, {
        status: running ? 'running' : 'stopped',
        ...(running && { argumentsVersion: this.runs.get(goal.id) ?? 0, ...this.roleOf(goal) }),
        ...claim,
      }),
    ];
  }

  /** What a running process says of its set or cluster. */
  private roleOf(goal: ProcessGoal): Partial<ProcessObservation> {
    const set = goal.replicaSet;
    if (set === null) return { writable: true, ...(goal.router?.leads && this.knownShards.size > 0 && { shards: [...this.knownShards] }) };
    const leaving = (set.changes?.leaving ?? []).filter((host) => !this.keeps(host, goal));
    const members = [...set.members, ...(set.changes?.joining ?? [])].filter((member) => !leaving.includes(member.host));
    const own = members.some((member) => member.host.endsWith(`:${goal.port}`));
    if (!own) return { memberState: 'REMOVED' };
    const candidates = members.filter((member) => this.couldLead(member.host, goal));
    const leader = candidates.find((member) => !this.yields(member.host, goal)) ?? candidates[0];
    if (!this.electable || !leader?.host.endsWith(`:${goal.port}`)) return { memberState: 'SECONDARY' };
    const setMembers = members.map(({ host, votes, priority }) => ({ host, votes, priority }));
    return { memberState: 'PRIMARY', writable: true, ...(set.changes && { setMembers }) };
  }

  private memberAt(host: string, like: ProcessGoal): ProcessGoal | undefined {
    return this.processes.find((each) => each.clusterId === like.clusterId && host.endsWith(`:${each.port}`));
  }

  private keeps(host: string, like: ProcessGoal): boolean {
    return this.keepsMembers.has(this.memberAt(host, like)?.id ?? '');
  }

  private yields(host: string, like: ProcessGoal): boolean {
    return this.memberAt(host, like)?.replicaSet?.changes?.yields === true;
  }

  /** Members on other hosts are for their agents to speak for: the first of all is the primary, wherever it is. */
  private couldLead(host: string, like: ProcessGoal): boolean {
    const here = this.memberAt(host, like);
    return here === undefined || here.desired === 'running';
  }
}

function keyPair() {
  const { publicKey, privateKey } = generateKeyPairSync('x25519');
  return { publicJwk: SealingPublicKeySchema.parse(publicKey.export({ format: 'jwk' })), privateKey };
}
