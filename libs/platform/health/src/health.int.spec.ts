import { createHttpApp, type HttpApp } from '@atrest/platform-http';
import { createLogger } from '@atrest/platform-logging';
import { Metrics } from '@atrest/platform-metrics';
import { afterEach, describe, expect, it } from 'vitest';
import { healthModule, type ReadinessCheck } from './index.js';

describe('health', () => {
  let http: HttpApp | undefined;
  afterEach(() => http?.close());

  async function get(path: string, checks: ReadinessCheck[] = []) {
    const metrics = new Metrics({});
    metrics.counter('things_total', 'Things.').inc();
    http = await createHttpApp({
      modules: [healthModule({ checks, metrics, timeoutMs: 50 })],
      logger: createLogger({ service: 'test', level: 'silent' }),
      metrics,
    });
    const { statusCode, headers, body } = await http.app.inject(path);
    return { statusCode, type: String(headers['content-type']), body };
  }

  const fine: ReadinessCheck = { name: 'database', check: () => Promise.resolve({ ok: true }) };

  it('is alive whatever its checks say', async () => {
    const { statusCode, body } = await get('/healthz', [{ name: 'broken', check: () => Promise.resolve({ ok: false }) }]);
    expect([statusCode, JSON.parse(body)]).toEqual([200, { status: 'ok' }]);
  });

  it('is ready when every check is', async () => {
    const { statusCode, body } = await get('/readyz', [fine]);
    expect([statusCode, JSON.parse(body)]).toEqual([200, { status: 'ready', checks: [{ name: 'database', ok: true }] }]);
  });

  it('names each failing check, also one that throws or hangs, without secrets', async () => {
    const { statusCode, type, body } = await get('/readyz', [
      fine,
      { name: 'transport', check: () => Promise.resolve({ ok: false, detail: 'postgres://u:hunter2@h is gone' }) },
      { name: 'mail', check: () => Promise.reject(new TypeError('hunter2')) },
      {
        name: 'sync',
        check: () => {
          throw new RangeError('hunter2');
        },
      },
      { name: 'kms', check: () => new Promise(() => undefined) },
    ]);
    expect(statusCode).toBe(503);
    expect(type).toContain('application/json');
    expect(JSON.parse(body)).toEqual({
      status: 'not ready',
      checks: [
        { name: 'database', ok: true },
        { name: 'transport', ok: false, detail: 'postgres://u:***@h is gone' },
        { name: 'mail', ok: false, detail: 'the check failed (TypeError)' },
        { name: 'sync', ok: false, detail: 'the check failed (RangeError)' },
        { name: 'kms', ok: false, detail: 'no answer within 50 ms' },
      ],
    });
  });

  it('renders metrics as Prometheus reads them', async () => {
    const { statusCode, type, body } = await get('/metrics');
    expect(statusCode).toBe(200);
    expect(type).toContain('text/plain; version=0.0.4');
    expect(body).toContain('things_total 1');
  });
});
