import { Controller, Inject } from '@nestjs/common';
import { answer, AtlasRoute, type Answer } from '@atrest/platform-http';
import type { Metrics } from '@atrest/platform-metrics';
import { runChecks, type ReadinessCheck } from './readiness.js';

export const HEALTH_OPTIONS = Symbol('atrest:health-options');

export interface HealthOptions {
  readonly checks: readonly ReadinessCheck[];
  readonly metrics: Metrics;
  readonly timeoutMs: number;
}

/** What an orchestrator and a metrics collector ask. Public: the answers hold no secret, and a probe has no credentials. */
@Controller()
export class HealthController {
  readonly #options: HealthOptions;

  constructor(@Inject(HEALTH_OPTIONS) options: HealthOptions) {
    this.#options = options;
  }

  @AtlasRoute({
    method: 'GET',
    path: '/healthz',
    access: 'public',
    summary: 'Answers while the process works at all. A failure is a reason to restart it.',
  })
  alive(): { status: 'ok' } {
    return { status: 'ok' };
  }

  @AtlasRoute({
    method: 'GET',
    path: '/readyz',
    access: 'public',
    summary: 'Tells whether the service can do its work: 200, or 503 with each failing check.',
  })
  async ready(): Promise<Answer<object>> {
    const checks = await runChecks(this.#options.checks, this.#options.timeoutMs);
    const ready = checks.every(({ ok }) => ok);
    return answer({ status: ready ? 'ready' : 'not ready', checks }, { status: ready ? 200 : 503 });
  }

  @AtlasRoute({ method: 'GET', path: '/metrics', access: 'public', summary: 'All metrics of the process in the Prometheus text format.' })
  async metrics(): Promise<Answer<string>> {
    return answer(await this.#options.metrics.render(), { headers: { 'content-type': this.#options.metrics.contentType } });
  }
}
