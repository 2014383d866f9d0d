/** A readable route path: parameters are whole segments (`:groupId`), optionally with a custom verb (`:clientId:invite`, `awsKms:check`). */
const PARAMETER = /^:([A-Za-z]\w*)(?::(.+))?$/;

/** A readable path cannot be routed. */
export class RoutePathError extends Error {
  readonly code = 'ROUTE_PATH_INVALID';

  constructor(path: string, rule: string) {
    super(`Route path ${path} ${rule}.`);
    this.name = 'RoutePathError';
  }
}

interface Segment {
  readonly parameter?: string;
  /** Literal text; behind a parameter it begins with a colon. */
  readonly literal?: string;
}

function segmentsOf(path: string): Segment[] {
  if (path === '' || path === '/') return [];
  if (!path.startsWith('/') || path.endsWith('/')) throw new RoutePathError(path, 'must begin with a slash and not end with one');
  return path
    .slice(1)
    .split('/')
    .map((segment) => {
      const match = PARAMETER.exec(segment);
      if (match?.[1] !== undefined) return { parameter: match[1], ...(match[2] !== undefined && { literal: `:${match[2]}` }) };
      if (segment === '' || segment.startsWith(':') || /[*()?{}]/.test(segment)) {
        throw new RoutePathError(path, 'may only have literal segments and :parameters, each with an optional :verb');
      }
      return { literal: segment };
    });
}

/**
 * The path as find-my-way reads it, where a colon begins a parameter anywhere in a segment: a literal colon is doubled, and a parameter
 * before a verb ends where the verb begins. It is matched decoded: an ARN holds colons itself.
 */
export function toRouterPath(path: string): string {
  const segments = segmentsOf(path).map(({ parameter, literal }) => {
    const text = literal?.replaceAll(':', '::') ?? '';
    if (parameter === undefined) return text;
    return literal === undefined ? `:${parameter}` : `:${parameter}(^.+)${text}`;
  });
  return `/${segments.join('/')}`;
}

/** The path as OpenAPI writes it: `/groups/{groupId}`. */
export function toOpenApiPath(path: string): string {
  const segments = segmentsOf(path).map(({ parameter, literal }) => `${parameter === undefined ? '' : `{${parameter}}`}${literal ?? ''}`);
  return `/${segments.join('/')}`;
}

/** Names of the parameters, in order. */
export function parametersOf(path: string): string[] {
  return segmentsOf(path).flatMap(({ parameter }) => (parameter === undefined ? [] : [parameter]));
}

/** Whether a request path (still percent-encoded, without query) has the form of the readable path. */
export function matchesPath(path: string, requestPath: string): boolean {
  const given = requestPath === '/' ? [] : requestPath.replace(/^\//, '').split('/');
  const segments = segmentsOf(path);
  return (
    segments.length === given.length &&
    segments.every(({ parameter, literal = '' }, index) => {
      const text = given[index] ?? '';
      return parameter === undefined ? text === literal : text.length > literal.length && text.endsWith(literal);
    })
  );
}
