import type { DynamicModule } from '@nestjs/common';
import type { Metrics } from '@atrest/platform-metrics';
import { HEALTH_OPTIONS, HealthController, type HealthOptions } from './health.controller.js';
import type { ReadinessCheck } from './readiness.js';

export interface HealthModuleOptions {
  readonly checks: readonly ReadinessCheck[];
  readonly metrics: Metrics;
  /** A check that takes longer has failed; 2 s by default, below the usual patience of a probe. */
  readonly timeoutMs?: number;
}

class HealthModule {}

/** `/healthz`, `/readyz` and `/metrics` of a process. One per process, with the checks of every service in it. */
export function healthModule(options: HealthModuleOptions): DynamicModule {
  const value: HealthOptions = { checks: options.checks, metrics: options.metrics, timeoutMs: options.timeoutMs ?? 2_000 };
  return { module: HealthModule, controllers: [HealthController], providers: [{ provide: HEALTH_OPTIONS, useValue: value }] };
}
