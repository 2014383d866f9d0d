/** The consumer group has members: a service that is to begin again must be stopped first. */
export class ServiceRunningError extends Error {
  override readonly name = 'ServiceRunningError';
  readonly code = 'KAFKA.SERVICE_RUNNING';

  constructor(service: string, options?: ErrorOptions) {
    super(`${service} is running, or ended without a word less than 30 s ago. Stop it, wait, and try again.`, options);
  }
}
