import { Agent } from 'node:https';
import { createDefaultHttpClient, type HttpClient } from '@azure/core-rest-pipeline';

/**
 * Development and tests only: Azure's host names on another machine. It changes where connections go, never what is asked for or which names
 * certificates must carry. Nothing of it may come from a project: it would choose whom we talk to.
 */
export interface AzureDevelopmentRoute {
  /** PEM of the only authority that is trusted. */
  readonly ca: string;
  /** Where to connect to instead of `host`, port 443. */
  dial(host: string): { readonly host: string; readonly port: number };
}

class RoutedAgent extends Agent {
  constructor(
    maxSockets: number,
    private readonly route: AzureDevelopmentRoute,
  ) {
    super({ keepAlive: true, maxSockets, ca: route.ca });
  }

  override createConnection(...[options, callback]: Parameters<Agent['createConnection']>): ReturnType<Agent['createConnection']> {
    return super.createConnection({ ...options, ...this.route.dial(options.host ?? '') }, callback);
  }
}

/** One set of connections for tokens and vaults. */
export interface AzureHttpClient extends HttpClient {
  close(): void;
}

/**
 * The SDK's own client with a time-out on every request, which it lacks, and with connections that can be dropped. Giving it an agent also
 * keeps HTTP_PROXY and HTTPS_PROXY of the environment out.
 */
export function azureHttpClient(o: { requestTimeoutMs: number; maxSockets: number; route?: AzureDevelopmentRoute }): AzureHttpClient {
  const client = createDefaultHttpClient();
  const agent = o.route === undefined ? new Agent({ keepAlive: true, maxSockets: o.maxSockets }) : new RoutedAgent(o.maxSockets, o.route);
  return {
    sendRequest(request) {
      request.agent = agent;
      // From the first byte of the request to the last of the answer, so an answer that trickles ends as well.
      request.timeout = o.requestTimeoutMs;
      return client.sendRequest(request);
    },
    close: () => agent.destroy(),
  };
}
