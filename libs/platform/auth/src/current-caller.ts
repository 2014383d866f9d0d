import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { admittedOf } from './access-guard.js';
import type { Caller } from './caller.js';

/** Parameter decorator: the {@link Caller} of this request. The route's access must be one that asks for a service account. */
export const CurrentCaller = createParamDecorator((_: unknown, context: ExecutionContext): Caller => {
  const admitted = admittedOf(context);
  if (admitted?.kind !== 'caller') throw new Error(`${context.getClass().name} asks for the caller of a route that needs none`);
  return admitted.caller;
});

/** The host whose agent makes a request. */
export interface AgentCaller {
  readonly hostId: string;
}

/** Parameter decorator: the {@link AgentCaller} of this request. The route's access must be 'agent'. */
export const CurrentAgent = createParamDecorator((_: unknown, context: ExecutionContext): AgentCaller => {
  const admitted = admittedOf(context);
  if (admitted?.kind !== 'agent') throw new Error(`${context.getClass().name} asks for the agent of a route that is not for agents`);
  return { hostId: admitted.hostId };
});
