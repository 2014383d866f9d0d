/** A body with another status or more headers than the route's own. */
export class Answer<T> {
  constructor(
    readonly body: T,
    readonly status: number | undefined,
    readonly headers: Readonly<Record<string, string>>,
  ) {}
}

/** What a handler returns when it has to say more than a body: `answer(project, { headers: { location } })`. */
export function answer<T>(
  body: T,
  more: { readonly status?: number; readonly headers?: Readonly<Record<string, string>> } = {},
): Answer<T> {
  return new Answer(body, more.status, more.headers ?? {});
}
