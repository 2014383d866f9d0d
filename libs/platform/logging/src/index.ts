export { currentCorrelation, runWithCorrelation, traceOf, type Correlation } from './correlation.js';
export { createLogger, LOG_LEVELS, type Logger, type LoggerOptions, type LogLevel } from './logger.js';
export { nestLogger } from './nest-logger.js';
export { redactText, redactValue } from './redaction.js';
export { serializeError } from './serialize-error.js';
