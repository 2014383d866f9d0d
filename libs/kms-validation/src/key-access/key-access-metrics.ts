import type { Metrics } from '@atrest/platform-metrics';

/** What is told of the answers to agents that asked for access to keys. */
export class KeyAccessMetrics {
  private readonly answers;
  private readonly seconds;

  constructor(metrics: Metrics) {
    this.answers = metrics.counter('atrest_key_access_answers_total', 'Answers to agents that asked for access to a customer key', [
      'provider',
      'outcome',
    ]);
    this.seconds = metrics.histogram(
      'atrest_key_access_answer_seconds',
      'From the request of an agent for access to a customer key to the answer',
      ['provider'],
      [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    );
  }

  /** @param outcome `granted`, or the code of the failure */
  answered(provider: string, outcome: string, seconds: number): void {
    this.answers.inc({ provider, outcome });
    this.seconds.observe({ provider }, Math.max(0, seconds));
  }
}
