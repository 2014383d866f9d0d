/** Thrown when the API answers with an error: carries what a person needs to see. */
export class ApiCallError extends Error {
  constructor(
    readonly method: string,
    readonly path: string,
    readonly status: number,
    readonly errorCode: string,
    readonly detail: string,
  ) {
    super(`${method} ${path} answered ${status} ${errorCode}: ${detail}`);
    this.name = 'ApiCallError';
  }
}

/** A client of the Atlas Admin API as any Atlas tool is one: client credentials, versioned media types, nothing of our own. */
export class ApiClient {
  #token: string | null = null;

  constructor(
    private readonly baseUrl: string,
    private readonly credentials: { readonly clientId: string; readonly secret: string },
  ) {}

  get<T>(path: string): Promise<T> {
    return this.call('GET', path);
  }

  post<T>(path: string, body: unknown): Promise<T> {
    return this.call('POST', path, body);
  }

  patch<T>(path: string, body: unknown): Promise<T> {
    return this.call('PATCH', path, body);
  }

  async delete(path: string): Promise<void> {
    await this.call('DELETE', path);
  }

  /** @throws ApiCallError when the API refuses. */
  private async call<T>(method: string, path: string, body?: unknown): Promise<T> {
    this.#token ??= await this.fetchToken();
    const mediaType = 'application/vnd.atlas.2025-03-12+json';
    const response = await fetch(`${this.baseUrl}/api/atlas/v2${path}`, {
      method,
      headers: { accept: mediaType, authorization: `Bearer ${this.#token}`, ...(body === undefined ? {} : { 'content-type': mediaType }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const parsed: unknown = text === '' ? {} : JSON.parse(text);
    if (!response.ok) {
      const { errorCode = 'UNKNOWN', detail = '' } = parsed as { errorCode?: string; detail?: string };
      throw new ApiCallError(method, path, response.status, errorCode, detail);
    }
    return parsed as T;
  }

  private async fetchToken(): Promise<string> {
    const { clientId, secret } = this.credentials;
    const response = await fetch(`${this.baseUrl}/api/oauth/token`, {
      method: 'POST',
      headers: {
        authorization: `Basic ${Buffer.from(`${clientId}:${secret}`).toString('base64')}`,
        'content-type': 'application/x-www-form-urlencoded',
      },
      body: 'grant_type=client_credentials',
    });
    if (!response.ok) throw new ApiCallError('POST', '/api/oauth/token', response.status, 'TOKEN_REFUSED', await response.text());
    return ((await response.json()) as { access_token: string }).access_token;
  }
}
