import { pino } from 'pino';
import { currentCorrelation } from './correlation.js';
import { prettyLine } from './pretty-line.js';
import { redactText, redactValue } from './redaction.js';
import { serializeError } from './serialize-error.js';

export type Logger = pino.Logger;

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LoggerOptions {
  /** Named in every line. */
  readonly service: string;
  /** One of {@link LOG_LEVELS}; `info` by default. */
  readonly level?: string;
  /** Where lines go; standard output by default. */
  readonly destination?: pino.DestinationStream;
  /** A file that lines are appended to, instead of standard output. */
  readonly file?: string;
  /** One short line for a person instead of JSON. */
  readonly pretty?: boolean;
}

/**
 * A logger of JSON lines. Every finished line is redacted, whichever way its parts came in (message, attributes, child bindings,
 * errors and their causes), because a rule that depends on how a caller logs is one that a caller forgets.
 */
export function createLogger(options: LoggerOptions): Logger {
  const level = options.level ?? 'info';
  const render = options.pretty ? prettyLine : (line: Record<string, unknown>) => `${JSON.stringify(line)}\n`;
  return pino(
    {
      level,
      base: { service: options.service },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: {
        level: (label) => ({ level: label }),
        log: withPlainErrors,
      },
      // pino's own serializer would take our plain form of an error for an error again.
      serializers: { err: (value: unknown) => (value instanceof Error ? serializeError(value) : value) },
      mixin: () => ({ ...currentCorrelation() }),
      hooks: { streamWrite: (line) => redactLine(line, render) },
    },
    options.destination ?? pino.destination({ dest: options.file ?? 1, sync: true, mkdir: true }),
  );
}

/** pino writes an error out only under the name `err`; anywhere else JSON would make `{}` of it. */
function withPlainErrors(attributes: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => [name, value instanceof Error ? serializeError(value) : value]),
  );
}

function redactLine(line: string, render: (line: Record<string, unknown>) => string): string {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch {
    // Not JSON after all: the patterns still apply.
    return redactText(line);
  }
  return render(redactValue(parsed) as Record<string, unknown>);
}
