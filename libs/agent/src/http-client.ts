import { request as httpRequest, Agent as HttpAgent, type IncomingMessage } from 'node:http';
import { request as httpsRequest, Agent as HttpsAgent } from 'node:https';

export interface HttpClientOptions {
  readonly baseUrl: string;
  /** PEM certificates of the authority that signed the control plane's certificate; the system's authorities otherwise. */
  readonly ca?: string | undefined;
}

export interface HttpRequest {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: unknown;
  readonly credential?: string | undefined;
  /** For the whole exchange, in milliseconds. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

export interface HttpResponse {
  readonly status: number;
  readonly body: string;
}

/** A goal of a host with a thousand processes is below 2 MB; what is larger is not from the control plane. */
const BODY_LIMIT = 16 * 1024 * 1024;

/**
 * A small JSON client on Node.js's own http and https: the global fetch takes no certificate authority. Connections are kept alive, since a
 * long poll follows the other.
 */
export class HttpClient {
  readonly #base: URL;
  readonly #agent: HttpAgent;
  readonly #request: typeof httpRequest;

  constructor(options: HttpClientOptions) {
    this.#base = new URL(options.baseUrl);
    const secure = this.#base.protocol === 'https:';
    this.#agent = secure
      ? new HttpsAgent({ keepAlive: true, minVersion: 'TLSv1.2', ...(options.ca === undefined ? {} : { ca: options.ca }) })
      : new HttpAgent({ keepAlive: true });
    this.#request = secure ? httpsRequest : httpRequest;
  }

  /** Rejects when there is no answer: connection, TLS, time-out, abort. Any status is an answer. */
  async send(request: HttpRequest): Promise<HttpResponse> {
    const limit = AbortSignal.timeout(request.timeoutMs);
    const signal = request.signal ? AbortSignal.any([limit, request.signal]) : limit;
    const text = request.body === undefined ? undefined : JSON.stringify(request.body);
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const outgoing = this.#request(new URL(joinPath(this.#base.pathname, request.path), this.#base), {
        method: request.method,
        agent: this.#agent,
        signal,
        headers: {
          accept: 'application/json',
          ...(text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
          ...(request.credential === undefined ? {} : { authorization: `Bearer ${request.credential}` }),
        },
      });
      outgoing.once('response', resolve);
      outgoing.once('error', reject);
      outgoing.end(text);
    });
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > BODY_LIMIT) throw new Error('The answer of the control plane is too large.');
      chunks.push(chunk);
    }
    return { status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') };
  }

  close(): void {
    this.#agent.destroy();
  }
}

function joinPath(base: string, path: string): string {
  return `${base.replace(/\/$/, '')}${path}`;
}
