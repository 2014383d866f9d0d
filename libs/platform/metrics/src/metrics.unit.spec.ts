import { describe, expect, it } from 'vitest';
import { Metrics } from './index.js';

describe('metrics', () => {
  it('gives the same instrument for the same name and renders it', async () => {
    const metrics = new Metrics({ service: 'fleet' });
    metrics.counter('checks_total', 'Checks.', ['verdict']).inc({ verdict: 'usable' });
    metrics.counter('checks_total', 'Checks.', ['verdict']).inc({ verdict: 'usable' }, 2);
    metrics.gauge('clusters', 'Clusters.').set(4);
    metrics.histogram('latency_seconds', 'Latency.', ['route'], [1, 2]).observe({ route: '/x' }, 1.5);
    const text = await metrics.render();
    expect(text).toContain('checks_total{verdict="usable",service="fleet"} 3');
    expect(text).toContain('clusters{service="fleet"} 4');
    expect(text).toContain('latency_seconds_bucket{le="2",service="fleet",route="/x"} 1');
    expect(metrics.contentType).toContain('text/plain');
  });

  it('keeps registries apart and refuses another kind or other labels under a known name', async () => {
    const metrics = new Metrics({});
    metrics.counter('x_total', 'X.');
    expect(() => metrics.gauge('x_total', 'X.')).toThrow(/x_total exists as counter/);
    expect(() => metrics.counter('x_total', 'X.', ['a'])).toThrow(/labels/);
    expect(await new Metrics({}).render()).not.toContain('x_total');
  });

  it('collects the metrics of the process only once, however many ask', async () => {
    const texts = [await new Metrics({ defaultMetrics: true }).render(), await new Metrics({ defaultMetrics: true }).render()];
    expect(texts.filter((text) => text.includes('nodejs_eventloop_lag_seconds'))).toHaveLength(1);
  });
});
