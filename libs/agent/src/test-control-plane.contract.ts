import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import {
  AgentTaskResultSchema,
  EnrolmentRequestSchema,
  newObjectId,
  ObservationReportSchema,
  PollResponseSchema,
  type AgentTask,
  type AgentTaskResult,
  type HostGoal,
  type KeyAccessSecret,
  type OplogTime,
  type PollResponse,
  type ObservationReport,
  type ProcessGoal,
  type ProcessAccessSecret,
  type ProcessObservation,
  type SealingPublicKey,
} from '@atrest/contracts';
import { CompactEncrypt, importJWK } from 'jose';

const CREDENTIAL = 'test-credential-of-more-than-32-characters';

/** The control plane's half of `/agent/v1` for one host, as far as an agent can tell. Everything that arrives is checked by the contracts' schemas. */
export class TestControlPlane {
  readonly token = 'one-time-token-of-the-test';
  readonly hostId = newObjectId();
  readonly reports: ObservationReport[] = [];
  readonly taskResults: AgentTaskResult[] = [];
  readonly problems: unknown[] = [];
  /** Null while `listen` has not been called. */
  #server: Server | null = null;
  #port = 0;
  #goal: HostGoal | null = null;
  #version = 0;
  #tasks: AgentTask[] = [];
  #cancelled = new Set<string>();
  #cuts: NonNullable<PollResponse['cuts']> = [];
  #waiting = new Set<() => void>();
  /** The secret of the agent that used the token. */
  enrolledBy: string | null = null;
  /** What secrets for the host are sealed for, by its last word. */
  sealingKey: SealingPublicKey | null = null;
  /** A host is enrolled while this is set, and its agent does not learn of it. */
  losesEnrolments = false;
  #watchers: (() => void)[] = [];
  /** Every call is refused with 401 while this is set. */
  revoked = false;
  /** Results of tasks are answered with 413 while this is set. */
  refusesResults = false;

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async listen(): Promise<void> {
    const server = createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        this.problems.push(error);
        response.writeHead(500).end();
      });
    });
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (server.address() as { port: number }).port;
  }

  /** Nobody answers any more; {@link listen} takes it back. */
  async goDown(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    for (const release of this.#waiting) release();
    server?.closeAllConnections();
    await new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve()));
  }

  /** Gives a new goal; returns its version. */
  order(processes: ProcessGoal[]): number {
    this.#version += 1;
    this.#goal = { hostId: this.hostId, version: this.#version, issuedAt: new Date().toISOString(), processes };
    for (const release of this.#waiting) release();
    return this.#version;
  }

  /** As the control plane sends a secret to the host. */
  async seal(secret: ProcessAccessSecret | KeyAccessSecret): Promise<string> {
    if (this.sealingKey === null) throw new Error('the host has not told its sealing key');
    return new CompactEncrypt(new TextEncoder().encode(JSON.stringify(secret)))
      .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM' })
      .encrypt(await importJWK(this.sealingKey, 'ECDH-ES'));
  }

  giveTask(task: AgentTask): void {
    this.#tasks.push(task);
    for (const release of this.#waiting) release();
  }

  /** Named in every answer until its result is here, as a control plane does. */
  cancelTask(id: string): void {
    this.#cancelled.add(id);
    for (const release of this.#waiting) release();
  }

  /** Says where the parts of a snapshot of a sharded cluster are cut. */
  cut(taskIds: readonly string[], at: OplogTime): void {
    for (const taskId of taskIds) this.#cuts.push({ taskId, at });
    for (const release of this.#waiting) release();
  }

  /** How far every part is held, once all are; only ends what hangs. */
  async holding(taskIds: readonly string[], limitMs = 90_000): Promise<OplogTime[]> {
    const end = AbortSignal.timeout(limitMs);
    for (;;) {
      const known = this.reports.at(-1)?.tasks ?? [];
      const ends = taskIds.flatMap((id) => known.find(({ taskId }) => taskId === id)?.progress.oplogEnd ?? []);
      if (ends.length === taskIds.length) return ends;
      const failed = this.taskResults.find((result) => taskIds.includes(result.taskId));
      if (end.aborted || failed)
        throw new Error(`Waited in vain for parts to hold; last seen: ${JSON.stringify(failed ?? known, null, 1)}`);
      await this.#change(end);
    }
  }

  /** The first result of a task; waits for it, only ends what hangs. */
  async resultOf(taskId: string, limitMs = 90_000): Promise<AgentTaskResult> {
    const end = AbortSignal.timeout(limitMs);
    for (;;) {
      const result = this.taskResults.find((each) => each.taskId === taskId);
      if (result) return result;
      if (end.aborted)
        throw new Error(`Waited in vain for the result of a task; last seen: ${JSON.stringify(this.reports.at(-1), null, 1)}`);
      await this.#change(end);
    }
  }

  #change(end: AbortSignal): Promise<void> {
    return new Promise<void>((resolve) => {
      this.#watchers.push(resolve);
      end.addEventListener('abort', () => resolve(), { once: true });
    });
  }

  /** The last report that belongs to the present goal, by process id. */
  get observed(): Map<string, ProcessObservation> | null {
    const report = this.reports.at(-1);
    if (!report || report.goalVersion < this.#version) return null;
    return new Map(report.processes.map((process) => [process.id, process]));
  }

  /** Waits for a report of the present goal that satisfies; only ends what hangs. */
  async until(
    what: string,
    satisfied: (observed: Map<string, ProcessObservation>) => boolean,
    limitMs = 90_000,
  ): Promise<Map<string, ProcessObservation>> {
    const end = AbortSignal.timeout(limitMs);
    for (;;) {
      const { observed } = this;
      if (observed && satisfied(observed)) return observed;
      if (end.aborted) throw new Error(`Waited in vain for ${what}; last seen: ${JSON.stringify(this.reports.at(-1), null, 1)}`);
      await this.#change(end);
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.url);
    const body = await text(request);
    const json = (status: number, value: unknown) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    const refuse = () => json(401, { error: 401, errorCode: 'USER_UNAUTHORIZED', detail: 'No.' });
    if (this.revoked) return void refuse();
    if (url.pathname === '/agent/v1/enrol') {
      const enrolment = EnrolmentRequestSchema.parse(JSON.parse(body));
      const secret = enrolment.retrySecret ?? '';
      if (enrolment.token !== this.token || (this.enrolledBy ?? secret) !== secret) return void refuse();
      this.enrolledBy = secret;
      this.sealingKey = enrolment.sealingKey ?? null;
      if (this.losesEnrolments) return void response.writeHead(201).end();
      return void json(201, { hostId: this.hostId, credential: CREDENTIAL });
    }
    if (request.headers.authorization !== `Bearer ${CREDENTIAL}`) return void refuse();
    switch (url.pathname) {
      case '/agent/v1/poll':
        return await this.#poll(refuse, Number(url.searchParams.get('goalVersion')), Number(url.searchParams.get('waitSeconds')), response);
      case '/agent/v1/observations':
        this.reports.push(ObservationReportSchema.parse(JSON.parse(body)));
        break;
      case '/agent/v1/task-results':
        if (this.refusesResults) return void json(413, { error: 413, errorCode: 'PAYLOAD_TOO_LARGE', detail: 'No.' });
        this.taskResults.push(AgentTaskResultSchema.parse(JSON.parse(body)));
        this.#cancelled.delete(this.taskResults.at(-1)!.taskId);
        break;
      default:
        throw new Error(`unknown path ${url.pathname}`);
    }
    for (const resolve of this.#watchers.splice(0)) resolve();
    response.writeHead(204).end();
  }

  async #poll(refuse: () => void, version: number, waitSeconds: number, response: ServerResponse): Promise<void> {
    const hasNews = () => this.#version > version || this.#tasks.length > 0 || this.#cancelled.size > 0 || this.#cuts.length > 0;
    if (!hasNews() && waitSeconds > 0) {
      await new Promise<void>((resolve) => {
        const release = () => {
          clearTimeout(timer);
          this.#waiting.delete(release);
          resolve();
        };
        const timer = setTimeout(release, waitSeconds * 1_000);
        response.once('close', release);
        this.#waiting.add(release);
      });
    }
    if (response.destroyed) return;
    if (this.revoked) return refuse();
    if (!hasNews()) return void response.writeHead(204).end();
    const answer = PollResponseSchema.parse({
      goal: this.#version > version ? this.#goal : null,
      tasks: this.#tasks.splice(0),
      cancelled: [...this.#cancelled],
      cuts: this.#cuts.splice(0),
    });
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  }
}

async function text(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}
