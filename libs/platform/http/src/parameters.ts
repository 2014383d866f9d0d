import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { ApiError } from './api-error.js';
import { routeOf } from './atlas-route.js';
import { requestState, type RequestState } from './request-state.js';
import { parseBody, parseQuery } from './validation.js';

/** A parameter decorator asks for something that its route does not have; found when the service starts, or at the latest when it is called. */
export class RouteError extends Error {
  readonly code = 'ROUTE_INVALID';

  constructor(message: string) {
    super(message);
    this.name = 'RouteError';
  }
}

const requestOf = (context: ExecutionContext): FastifyRequest => context.switchToHttp().getRequest<FastifyRequest>();

function stateOf(context: ExecutionContext): RequestState {
  const state = requestState(requestOf(context));
  if (!state) throw new RouteError('The parameter decorators of platform-http work only inside an application that createHttpApp made.');
  return state;
}

function schemaOf(context: ExecutionContext, part: 'body' | 'query') {
  const schema = routeOf(context.getHandler())?.[part];
  if (!schema)
    throw new RouteError(`${context.getClass().name}.${context.getHandler().name} reads the ${part}, but its route has no ${part} schema.`);
  return schema;
}

export const readBody = (_: unknown, context: ExecutionContext): unknown => parseBody(schemaOf(context, 'body'), requestOf(context).body);
export const readQuery = (_: unknown, context: ExecutionContext): unknown =>
  parseQuery(schemaOf(context, 'query'), requestOf(context).query as Record<string, unknown>);

/** The body as the route's schema parsed it. */
export const ValidBody = createParamDecorator(readBody);

/** The query as the route's schema parsed it. */
export const ValidQuery = createParamDecorator(readQuery);

/** The resolved version of an Atlas operation, such as `2024-08-05`. */
export const Version = createParamDecorator((_: unknown, context: ExecutionContext) => stateOf(context).version);

/** Aborted when the client goes away (`ClientGone`) or the service stops (`ServiceStopping`). A long poll ends by it. */
export const RequestSignal = createParamDecorator((_: unknown, context: ExecutionContext) => stateOf(context).abort.signal);

/** Scheme and authority under which the client reached the service, for links: `https://atrest.example`. */
export const BaseUrl = createParamDecorator((_: unknown, context: ExecutionContext) => stateOf(context).baseUrl);

/** A parameter of the path, decoded. A `groupId` that is no id is answered with 404, as any id that does not exist. */
export const PathParam = createParamDecorator((name: string, context: ExecutionContext): string => {
  const value = (requestOf(context).params as Record<string, string>)[name];
  if (value === undefined)
    throw new RouteError(`${context.getClass().name}.${context.getHandler().name}: the path has no parameter ${name}.`);
  if (name === 'groupId' && !/^[a-f0-9]{24}$/.test(value)) {
    throw new ApiError(404, 'INVALID_GROUP_ID', `An invalid group ID ${JSON.stringify(value.slice(0, 64))} was specified.`, [
      value.slice(0, 64),
    ]);
  }
  return value;
});
