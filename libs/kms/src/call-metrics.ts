import type { KeyProviderName } from '@atrest/contracts';
import type { Metrics } from '@atrest/platform-metrics';
import type { Verdict } from './verdict.js';

/** Seconds; the last bound is above the longest call (connection and request time-outs of 5 s each). */
const BUCKETS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Runs one request to a KMS and records how long it took and how it ended: `ok`, or the reason of the verdict on its error. */
export async function measured<Result>(
  metrics: Metrics,
  call: { readonly provider: KeyProviderName; readonly operation: string; readonly verdict: (error: unknown) => Verdict },
  run: () => Promise<Result>,
): Promise<Result> {
  const histogram = metrics.histogram(
    'atrest_kms_call_duration_seconds',
    'Duration of one request to a KMS; outcome is ok or the reason of the verdict',
    ['provider', 'operation', 'outcome'],
    BUCKETS,
  );
  const startedAt = performance.now();
  const observe = (outcome: string): void => {
    histogram.observe({ provider: call.provider, operation: call.operation, outcome }, (performance.now() - startedAt) / 1000);
  };
  try {
    const result = await run();
    observe('ok');
    return result;
  } catch (error) {
    observe(call.verdict(error).reason ?? 'ok');
    throw error;
  }
}
