/** What a service says it consumes and the handlers it brings do not match; it must not start. */
export class WiringError extends Error {
  override readonly name = 'WiringError';
  readonly code = 'MESSAGING.WIRING';
  readonly problems: readonly string[];
  constructor(service: string, problems: readonly string[]) {
    super(`${service} is wired wrongly: ${problems.join('; ')}`);
    this.problems = problems;
  }
}

/** Data that does not fit its event's schema was about to be published. Names paths and rules, never values. */
export class InvalidEventError extends Error {
  override readonly name = 'InvalidEventError';
  readonly code = 'MESSAGING.INVALID_EVENT';
  constructor(
    readonly eventType: string,
    readonly problems: readonly string[],
  ) {
    super(`${eventType} does not fit its schema: ${problems.join('; ')}`);
  }
}

/** A known subscriber is not there at the moment. Nothing was sent; the events stay in the outbox until it is. */
export class SubscriberAbsentError extends Error {
  override readonly name = 'SubscriberAbsentError';
  readonly code = 'MESSAGING.SUBSCRIBER_ABSENT';
  constructor(readonly service: string) {
    super(`${service} does not take events at the moment`);
  }
}

/** A handler did not end in time. Its transaction was rolled back; whatever it still tries to write fails. */
export class HandlerTimeoutError extends Error {
  override readonly name = 'HandlerTimeoutError';
  readonly code = 'MESSAGING.HANDLER_TIMEOUT';
  constructor(handler: string, limitMs: number) {
    super(`${handler} did not end within ${limitMs} ms`);
  }
}
