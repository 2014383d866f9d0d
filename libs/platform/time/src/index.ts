export { systemClock, type Clock } from './clock.js';
export { SimulatedClock } from './simulated-clock.js';
export { DurationError, formatDuration, parseDuration } from './duration.js';
export { backoffMs, type BackoffOptions } from './backoff.js';
export { BackgroundLoop, type BackgroundLoopOptions } from './background-loop.js';
