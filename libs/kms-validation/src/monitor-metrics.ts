import type { Metrics } from '@atrest/platform-metrics';
import type { KeyObservation } from './key-check.js';

/** What the monitor tells about itself. */
export class MonitorMetrics {
  private readonly duration;
  private readonly verdicts;
  private readonly lateness;
  private readonly outcomes;
  private readonly proofAge;

  constructor(metrics: Metrics) {
    const seconds = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30];
    this.duration = metrics.histogram('atrest_validity_check_seconds', 'Duration of one validity check', ['provider'], seconds);
    this.verdicts = metrics.counter('atrest_validity_verdicts_total', 'Validity checks by verdict and reason', [
      'provider',
      'verdict',
      'reason',
    ]);
    this.lateness = metrics.histogram(
      'atrest_validity_check_lateness_seconds',
      'How long after its due time a check began',
      [],
      [0.1, 0.5, 1, 5, 15, 60, 300, 900],
    );
    this.outcomes = metrics.counter('atrest_validity_results_total', 'Results of checks by what became of them', ['outcome']);
    this.proofAge = metrics.gauge(
      'atrest_validity_oldest_proof_age_seconds',
      'Age of the oldest proof of a key that is not invalid: grows while a KMS does not answer',
    );
  }

  checked(provider: string, { evidence }: KeyObservation, seconds: number): void {
    this.duration.observe({ provider }, seconds);
    this.verdicts.inc({ provider, verdict: evidence.verdict, reason: evidence.reason ?? 'none' });
  }

  began(dueAt: Date, now: Date): void {
    this.lateness.observe(Math.max(0, (now.getTime() - dueAt.getTime()) / 1_000));
  }

  ended(outcome: string): void {
    this.outcomes.inc({ outcome });
  }

  oldestProof(provenAt: Date | null, now: Date): void {
    this.proofAge.set(provenAt === null ? 0 : Math.max(0, (now.getTime() - provenAt.getTime()) / 1_000));
  }
}
