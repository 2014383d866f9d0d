import { ObjectIdSchema } from '@atrest/contracts';
import { ACCESS_METADATA, accessForbidden, groupNotFound, unauthorized, type Access, type ApiError } from '@atrest/platform-http';
import type { Logger } from '@atrest/platform-logging';
import { awaitProjection } from '@atrest/platform-persistence';
import type { CanActivate, ExecutionContext } from '@nestjs/common';
import { callerOf, type Caller } from './caller.js';
import { decideOrganisationAccess, decideProjectAccess, type ProjectReference } from './role-implication.js';
import { PROJECTION_WAIT_MS, type TokenVerifier } from './token-verifier.js';

/** Tells which organisation a project belongs to. Each service answers from what it knows of projects. */
export interface ProjectDirectory {
  /**
   * `null` when no such project was ever heard of. A deleted project keeps its organisation, so that its owner is answered by the route
   * (404 GROUP_NOT_FOUND), without waiting for an event that will not come.
   */
  organisationOf(projectId: string): Promise<string | null>;
}

/** Knows the hosts by the credential of their agent. `fleet` has it; services without agent routes need none. */
export interface AgentAuthenticator {
  /** `null` when the credential is not (or no longer) one of a host. */
  authenticate(bearer: string): Promise<{ hostId: string } | null>;
}

/** Who was let in, on the request itself. A symbol: nothing in a body or query can ever be mistaken for it. */
const ADMITTED = Symbol('admitted');

export type Admitted =
  { readonly kind: 'anyone' } | { readonly kind: 'caller'; readonly caller: Caller } | { readonly kind: 'agent'; readonly hostId: string };

interface GuardedRequest {
  readonly headers: { readonly authorization?: string };
  readonly params?: Readonly<Record<string, string | undefined>>;
  [ADMITTED]?: Admitted;
}

/** Who made this request, as the guard found out. `undefined` where no guard ran. */
export function admittedOf(context: ExecutionContext): Admitted | undefined {
  return context.switchToHttp().getRequest<GuardedRequest>()[ADMITTED];
}

export interface AccessGuardOptions {
  readonly verifier: TokenVerifier;
  readonly projects: ProjectDirectory;
  readonly logger: Logger;
  readonly agentAuthenticator?: AgentAuthenticator;
  readonly projectionWaitMs?: number;
}

/**
 * Checks every request against its route's access: who asks, and whether he may, by the roles stored at this moment.
 *
 * A project that the caller has no role in is answered as one that does not exist, so ids of others cannot be probed; a role that is too small is
 * answered 403. Where several services share one app, each brings a guard: the first that sees a request decides, the others see that it did.
 */
export class AccessGuard implements CanActivate {
  constructor(private readonly o: AccessGuardOptions) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<GuardedRequest>();
    if (request[ADMITTED] !== undefined) return true;
    request[ADMITTED] = await this.admit(accessOf(context), request);
    return true;
  }

  private async admit(access: Access, request: GuardedRequest): Promise<Admitted> {
    if (access === 'public') return { kind: 'anyone' };
    const bearer = bearerOf(request);
    if (bearer === undefined) throw challenge();
    if (access === 'agent') return this.admitAgent(bearer);

    const verdict = await this.o.verifier.verify(bearer);
    if (!verdict.ok) {
      this.o.logger.info({ refusal: verdict.refusal }, 'an access token was refused');
      throw challenge('invalid_token');
    }
    const { account } = verdict;
    if (access === 'authenticated') return { kind: 'caller', caller: callerOf(account) };
    if ('org' in access) {
      // Without an organisation in the path the request is about the caller's own: an account belongs to one.
      const decision = decideOrganisationAccess(account.grants, access.org, request.params?.['orgId'] ?? account.orgId);
      if (decision === 'forbidden') throw accessForbidden();
      return { kind: 'caller', caller: callerOf(account) };
    }
    const project = await this.resolve(
      request.params?.['groupId'] ?? '',
      account.orgId,
      account.grants.some((grant) => grant.role === 'ORG_OWNER'),
    );
    const decision = decideProjectAccess(account.grants, access.project, project);
    if (decision === 'unknown-project') throw groupNotFound(project.id.slice(0, 64));
    if (decision === 'forbidden') throw accessForbidden();
    return { kind: 'caller', caller: callerOf(account, project) };
  }

  /**
   * The project's organisation, needed only where a role in an organisation could reach it. A project of somebody else is waited for like
   * one that does not exist: the time of the answer tells as little as its text.
   */
  private async resolve(projectId: string, orgId: string, needed: boolean): Promise<ProjectReference> {
    if (!needed || !ObjectIdSchema.safeParse(projectId).success) return { id: projectId, orgId: null };
    const look = async () => ((await this.o.projects.organisationOf(projectId)) === orgId ? orgId : undefined);
    const waitMs = this.o.projectionWaitMs ?? PROJECTION_WAIT_MS;
    const found = waitMs === 0 ? await look() : await awaitProjection(look, { timeoutMs: waitMs });
    return { id: projectId, orgId: found ?? null };
  }

  private async admitAgent(bearer: string): Promise<Admitted> {
    if (this.o.agentAuthenticator === undefined) throw new Error('a route for agents needs accessModule({ agentAuthenticator })');
    const host = await this.o.agentAuthenticator.authenticate(bearer);
    if (host === null) throw challenge('invalid_token');
    return { kind: 'agent', hostId: host.hostId };
  }
}

/** A route without access is never reached: the app refuses to boot. Should one be, it is closed. */
function accessOf(context: ExecutionContext): Access {
  const access = Reflect.getMetadata(ACCESS_METADATA, context.getHandler()) as Access | undefined;
  if (access === undefined) {
    throw new Error(`${context.getClass().name}.${context.getHandler().name} declares no access`);
  }
  return access;
}

function bearerOf(request: GuardedRequest): string | undefined {
  return /^bearer +([A-Za-z0-9._~+/=-]+) *$/i.exec(request.headers.authorization ?? '')?.[1];
}

/** The same answer whatever is wrong with the token: which of an expired, forged or revoked one it was is nobody's business but the log's. */
function challenge(error?: 'invalid_token'): ApiError {
  return unauthorized().withHeader('www-authenticate', `Bearer realm="atrest"${error === undefined ? '' : `, error="${error}"`}`);
}
