import type { LoggerService } from '@nestjs/common';
import type { Logger } from './logger.js';
import { serializeError } from './serialize-error.js';

type Level = 'info' | 'warn' | 'error' | 'debug' | 'trace' | 'fatal';

/** Nest's own messages, through our logger. What Nest calls the context becomes `component`. */
export function nestLogger(logger: Logger): LoggerService {
  const write = (level: Level, message: unknown, rest: unknown[]): void => {
    const context = rest.at(-1);
    const attributes: Record<string, unknown> = typeof context === 'string' ? { component: context } : {};
    // `error(message, stack, context)`
    const [stack] = rest;
    if (level === 'error' && rest.length > 1 && typeof stack === 'string') attributes['stack'] = stack;
    const error = message instanceof Error ? message : rest.find((part) => part instanceof Error);
    if (error) attributes['err'] = serializeError(error);
    logger[level](attributes, message instanceof Error ? message.message : typeof message === 'string' ? message : JSON.stringify(message));
  };
  return {
    // Nest narrates its start at `log`; that is of interest only to who debugs it.
    log: (message: unknown, ...rest: unknown[]) => write('debug', message, rest),
    warn: (message: unknown, ...rest: unknown[]) => write('warn', message, rest),
    error: (message: unknown, ...rest: unknown[]) => write('error', message, rest),
    debug: (message: unknown, ...rest: unknown[]) => write('debug', message, rest),
    verbose: (message: unknown, ...rest: unknown[]) => write('trace', message, rest),
    fatal: (message: unknown, ...rest: unknown[]) => write('fatal', message, rest),
  };
}
