// Controllers for the guard's suite. Not in the suite's own file: decorators of parameters are compiled by the package's settings.
import { AtlasRoute, PathParam } from '@atrest/platform-http';
import { Controller, Get } from '@nestjs/common';
import type { Caller } from './caller.js';
import { CurrentAgent, CurrentCaller, type AgentCaller } from './current-caller.js';

@Controller()
export class ProbeController {
  @AtlasRoute({ method: 'GET', path: '/public', access: 'public', summary: 'For everybody.' })
  everybody(): object {
    return { ok: true };
  }
  @AtlasRoute({ method: 'GET', path: '/me', access: 'authenticated', summary: 'For anyone known.' })
  me(@CurrentCaller() caller: Caller): object {
    return { clientId: caller.clientId, owner: caller.hasRole('ORG_OWNER') };
  }
  @AtlasRoute({ method: 'GET', path: '/agent', access: 'agent', summary: 'For agents.' })
  agent(@CurrentAgent() agent: AgentCaller): object {
    return agent;
  }
  @AtlasRoute({ method: 'GET', path: '/groups/:groupId', access: { project: ['GROUP_READ_ONLY'] }, summary: 'For readers of a project.' })
  project(@PathParam('groupId') projectId: string, @CurrentCaller() caller: Caller): object {
    return { projectId, owner: caller.hasRole('GROUP_OWNER', projectId) };
  }
  @AtlasRoute({ method: 'GET', path: '/groups/:groupId/all', access: { project: ['GROUP_OWNER'] }, summary: 'For owners of a project.' })
  owned(): object {
    return { ok: true };
  }
  @AtlasRoute({ method: 'GET', path: '/orgs/:orgId', access: { org: ['ORG_OWNER'] }, summary: 'For owners of an organisation.' })
  organisation(): object {
    return { ok: true };
  }
  @AtlasRoute({ method: 'GET', path: '/org', access: { org: ['ORG_OWNER'] }, summary: 'For owners of their own organisation.' })
  ownOrganisation(): object {
    return { ok: true };
  }
}

/** Forgets to say who may call it. */
@Controller()
export class CarelessController {
  @Get('/careless')
  get(): object {
    return {};
  }
}
