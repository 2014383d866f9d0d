import type { Logger } from '@atrest/platform-logging';
import type { Clock } from '@atrest/platform-time';
import { Module, type DynamicModule } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { AccessGuard, type AgentAuthenticator, type ProjectDirectory } from './access-guard.js';
import type { AccessStore } from './access-store.js';
import { TokenVerifier } from './token-verifier.js';

export interface AccessModuleOptions {
  readonly store: AccessStore;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The `iss` that tokens must name: the same text as `fleet` is given. */
  readonly issuer: string;
  /** From the service's own table or projection of projects. */
  readonly projects: ProjectDirectory;
  /** Needed where routes have the access 'agent'. */
  readonly agentAuthenticator?: AgentAuthenticator;
  /**
   * Milliseconds to hold a request whose account, key or project is not known yet; 2000 by default. 0 where the store is never behind,
   * that is in `fleet`, which writes it with the change itself.
   */
  readonly projectionWaitMs?: number;
}

/**
 * Puts the access guard before every route of the app. An app that runs several services lists `fleet` first: the first guard decides, and
 * its tables are never behind.
 */
export function accessModule(o: AccessModuleOptions): DynamicModule {
  const wait = o.projectionWaitMs === undefined ? {} : { projectionWaitMs: o.projectionWaitMs };
  const guard = new AccessGuard({
    verifier: new TokenVerifier({ store: o.store, clock: o.clock, issuer: o.issuer, ...wait }),
    projects: o.projects,
    logger: o.logger,
    ...(o.agentAuthenticator && { agentAuthenticator: o.agentAuthenticator }),
    ...wait,
  });
  return { module: AccessModule, providers: [{ provide: APP_GUARD, useValue: guard }] };
}

@Module({})
class AccessModule {}
