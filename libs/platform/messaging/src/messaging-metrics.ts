import type { Metrics } from '@atrest/platform-metrics';

/** Seconds. A handler is a few statements; what takes a second is worth a look. */
const HANDLER_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30];

/** Instruments of messaging; services in one process share them and differ by label. */
export function messagingMetrics(metrics: Metrics) {
  return {
    published: metrics.counter('atrest_outbox_published_total', 'Events handed to the transport', ['service']),
    sendFailures: metrics.counter('atrest_outbox_send_failures_total', 'Batches that the transport did not take', ['service']),
    outboxPending: metrics.gauge('atrest_outbox_pending', 'Events that wait to be handed to the transport', ['service']),
    outboxLag: metrics.gauge('atrest_outbox_lag_seconds', 'Age of the oldest event that waits to be handed to the transport', ['service']),
    received: metrics.counter('atrest_inbox_received_total', 'Events that arrived, redeliveries included', ['service']),
    inboxPending: metrics.gauge('atrest_inbox_pending', 'Events that wait to be handled', ['service']),
    handled: metrics.counter('atrest_inbox_handled_total', 'Events handled', ['service', 'handler']),
    retried: metrics.counter('atrest_inbox_retried_total', 'Attempts that failed and will be repeated', ['service', 'handler']),
    parked: metrics.counter('atrest_inbox_parked_total', 'Events parked as dead letters', ['service', 'reason']),
    deadLetters: metrics.gauge('atrest_dead_letters', 'Parked events that nobody replayed', ['service']),
    handlerSeconds: metrics.histogram(
      'atrest_inbox_handler_seconds',
      'Duration of an attempt with its transaction',
      ['service', 'handler'],
      HANDLER_BUCKETS,
    ),
    deliverySeconds: metrics.histogram('atrest_event_delivery_seconds', 'From the making of an event to its effect here', ['service']),
  };
}

export type MessagingMetrics = ReturnType<typeof messagingMetrics>;
