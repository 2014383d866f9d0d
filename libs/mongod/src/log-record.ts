/** One line of mongod's structured log (4.4 and later). */
export interface LogRecord {
  /** Null when the line has no usable time. */
  readonly at: Date | null;
  /** F(atal), E(rror), W(arning), I(nfo), D1…D5. */
  readonly severity: string;
  readonly component: string;
  readonly id: number;
  readonly message: string;
  readonly attributes: Readonly<Record<string, unknown>>;
}

/** Reads one line, or null when it is not a structured record: a server writes plain text before its log is open and in backtraces. */
export function parseLogLine(line: string): LogRecord | null {
  if (!line.startsWith('{')) return null;
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return null; // a line cut by a crash or a full disk
  }
  if (value === null || typeof value !== 'object') return null;
  const record = value as { t?: { $date?: unknown }; s?: unknown; c?: unknown; id?: unknown; msg?: unknown; attr?: unknown };
  if (typeof record.id !== 'number') return null;
  const at = typeof record.t?.$date === 'string' ? new Date(record.t.$date) : null;
  return {
    at: at && !Number.isNaN(at.getTime()) ? at : null,
    severity: typeof record.s === 'string' ? record.s : '',
    component: typeof record.c === 'string' ? record.c : '',
    id: record.id,
    message: typeof record.msg === 'string' ? record.msg : '',
    attributes: record.attr !== null && typeof record.attr === 'object' ? (record.attr as Record<string, unknown>) : {},
  };
}
