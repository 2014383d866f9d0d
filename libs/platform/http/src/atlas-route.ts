import { applyDecorators, HttpCode, RequestMapping, RequestMethod, SetMetadata } from '@nestjs/common';
import { RouteConfig } from '@nestjs/platform-fastify';
import type { z } from 'zod';
import { ACCESS_METADATA, type Access } from './access.js';
import { toRouterPath } from './route-path.js';
import { API_PREFIX, LEGACY_PREFIXES, newestNotLater } from './version.js';

export type HttpMethod = 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';

export interface RouteOptions {
  readonly method: HttpMethod;
  /**
   * Readable path. Parameters are whole segments, a custom verb follows a colon: `/groups/:groupId/encryptionAtRest/awsKms:check`.
   * With `versions` it is below `/api/atlas/v2`, else it is absolute.
   */
  readonly path: string;
  /** Dates of the operation's versions. They make it an Atlas operation: versioned media types, `pretty`, `envelope`, older prefixes. */
  readonly versions?: readonly string[];
  /** There is no default: the service does not start while a route has none. */
  readonly access: Access;
  /** One sentence for the generated reference. */
  readonly summary: string;
  /** What `@ValidBody()` reads the body with. */
  readonly body?: z.ZodType;
  /** Takes a JSON body also as `text/plain`, which is how Amazon SNS sends its own; any other route refuses that. */
  readonly jsonAsPlainText?: boolean;
  /** What `@ValidQuery()` reads the query with. */
  readonly query?: z.ZodType;
  /** What is answered, for the generated reference. */
  readonly response?: z.ZodType;
  /** Status of a successful answer, 200 by default. */
  readonly success?: number;
}

/** A route as it is served. */
export interface RouteMetadata extends RouteOptions {
  /** Readable path from the root, the one under `/api/atlas/v2` for an Atlas operation. */
  readonly fullPath: string;
  /** Every readable path that serves it: the full path and those under the older prefixes. */
  readonly paths: readonly string[];
  readonly success: number;
}

/** Metadata key of a handler's {@link RouteMetadata}. */
export const ROUTE_METADATA = 'atrest:route';

/** Serves a controller's method as a route. */
export function AtlasRoute(options: RouteOptions): MethodDecorator {
  const below = options.path === '/' ? '' : options.path;
  const fullPath = options.versions ? `${API_PREFIX}${below}` : options.path;
  const metadata: RouteMetadata = {
    ...options,
    fullPath,
    paths: [fullPath, ...legacyPaths(options, below)],
    success: options.success ?? 200,
  };
  return applyDecorators(
    RequestMapping({ method: RequestMethod[options.method], path: metadata.paths.map(toRouterPath) }),
    HttpCode(metadata.success),
    SetMetadata(ROUTE_METADATA, metadata),
    SetMetadata(ACCESS_METADATA, options.access),
    // For Fastify's hooks, which run before Nest knows the handler.
    RouteConfig({ atrestRoute: metadata }),
  );
}

/** An older prefix serves an operation only when that had a version by then. */
function legacyPaths({ versions = [] }: RouteOptions, below: string): string[] {
  return LEGACY_PREFIXES.filter(({ version }) => newestNotLater(versions, version) !== undefined).map(({ prefix }) => `${prefix}${below}`);
}

/** The route of a handler, if `AtlasRoute` made it one. */
export function routeOf(handler: object): RouteMetadata | undefined {
  return Reflect.getMetadata(ROUTE_METADATA, handler) as RouteMetadata | undefined;
}
