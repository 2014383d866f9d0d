import {
  EnrolmentResponseSchema,
  PollResponseSchema,
  type AgentTaskResult,
  type EnrolmentRequest,
  type EnrolmentResponse,
  type ObservationReport,
  type PollResponse,
} from '@atrest/contracts';
import { HttpClient, type HttpClientOptions, type HttpResponse } from './http-client.js';

/** Why the control plane did not give what was asked. */
export class ChannelError extends Error {
  readonly code: 'CHANNEL.UNREACHABLE' | 'CHANNEL.REFUSED' | 'CHANNEL.UNAVAILABLE' | 'CHANNEL.NOT_UNDERSTOOD';
  /** The HTTP status, when there was an answer. */
  readonly status: number | null;

  constructor(code: ChannelError['code'], message: string, status: number | null = null, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ChannelError';
    this.code = code;
    this.status = status;
  }

  /** Waiting heals it. A refusal stays until a person acts. */
  get transient(): boolean {
    return this.code !== 'CHANNEL.REFUSED';
  }
}

/** The ordinary answer comes within milliseconds; ten seconds tell a slow control plane from one that is gone. */
const TIMEOUT_MS = 10_000;

/** The agent's half of `/agent/v1`. Every call either answers or throws a {@link ChannelError}. */
export class ChannelClient {
  readonly #http: HttpClient;

  constructor(options: HttpClientOptions) {
    this.#http = new HttpClient(options);
  }

  async enrol(request: EnrolmentRequest): Promise<EnrolmentResponse> {
    const response = await this.#send({ method: 'POST', path: '/agent/v1/enrol', body: request, timeoutMs: TIMEOUT_MS });
    return understood(response, EnrolmentResponseSchema);
  }

  /** Waits up to `waitSeconds` for something newer than the goal version. Null: nothing is. */
  async poll(credential: string, goalVersion: number, waitSeconds: number, signal: AbortSignal): Promise<PollResponse | null> {
    const path = `/agent/v1/poll?goalVersion=${goalVersion}&waitSeconds=${waitSeconds}`;
    const response = await this.#send({ method: 'GET', path, credential, signal, timeoutMs: TIMEOUT_MS + waitSeconds * 1_000 });
    return response.status === 204 ? null : understood(response, PollResponseSchema);
  }

  async report(credential: string, report: ObservationReport, signal?: AbortSignal): Promise<void> {
    await this.#send({ method: 'POST', path: '/agent/v1/observations', credential, body: report, signal, timeoutMs: TIMEOUT_MS });
  }

  async reportTask(credential: string, result: AgentTaskResult): Promise<void> {
    await this.#send({ method: 'POST', path: '/agent/v1/task-results', credential, body: result, timeoutMs: TIMEOUT_MS });
  }

  close(): void {
    this.#http.close();
  }

  async #send(request: Parameters<HttpClient['send']>[0]): Promise<HttpResponse> {
    const response = await this.#http.send(request).catch((error: unknown) => {
      throw new ChannelError('CHANNEL.UNREACHABLE', `The control plane cannot be reached: ${(error as Error).message}`, null, {
        cause: error,
      });
    });
    const { status } = response;
    if (status >= 200 && status < 300) return response;
    const said = reasonIn(response.body);
    if (status === 401 || status === 403)
      throw new ChannelError('CHANNEL.REFUSED', `The control plane refuses this agent (${status})${said}`, status);
    // 408, 425 and 429 ask for patience; other 4xx mean that the two do not speak the same language (yet).
    const patience = status >= 500 || status === 408 || status === 425 || status === 429;
    throw new ChannelError(
      patience ? 'CHANNEL.UNAVAILABLE' : 'CHANNEL.NOT_UNDERSTOOD',
      `The control plane answers ${status}${said}`,
      status,
    );
  }
}

function understood<T>(response: HttpResponse, schema: { parse(value: unknown): T }): T {
  try {
    return schema.parse(JSON.parse(response.body));
  } catch (error) {
    throw new ChannelError('CHANNEL.NOT_UNDERSTOOD', 'The answer of the control plane was not understood.', response.status, {
      cause: error,
    });
  }
}

/** The error body of the API has `detail`; anything else (a proxy's page) is not repeated. */
function reasonIn(body: string): string {
  try {
    const { detail, errorCode } = JSON.parse(body) as { detail?: unknown; errorCode?: unknown };
    const parts = [errorCode, detail].filter((part): part is string => typeof part === 'string');
    return parts.length > 0 ? `: ${parts.join(' ')}` : '.';
  } catch {
    return '.';
  }
}
