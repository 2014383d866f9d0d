/** Deep enough for a cause of a cause and for `$metadata`; not deep enough for a socket. */
const MAX_DEPTH = 5;

/** TypeORM puts the values of a statement here, and those may be anything. */
const DROPPED = new Set(['parameters', 'stack', 'message', 'cause', 'errors', 'name']);

/** An error as JSON: type, message, stack, causes and its own simple attributes (code, status, request id), without sockets, requests and statement values. */
export function serializeError(error: Error, depth = 0): Record<string, unknown> {
  const result: Record<string, unknown> = { type: error.name, message: error.message, stack: error.stack };
  for (const [name, value] of Object.entries(error)) {
    if (!DROPPED.has(name)) assignSimple(result, name, value, depth + 1);
  }
  if (error.cause !== undefined) assignSimple(result, 'cause', error.cause, depth + 1);
  if (error instanceof AggregateError) assignSimple(result, 'errors', error.errors, depth + 1);
  return result;
}

function assignSimple(target: Record<string, unknown>, name: string, value: unknown, depth: number): void {
  const simple = simplify(value, depth);
  if (simple !== undefined) target[name] = simple;
}

function simplify(value: unknown, depth: number): unknown {
  if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  if (typeof value === 'bigint') return value.toString();
  if (depth > MAX_DEPTH) return undefined;
  if (value instanceof Error) return serializeError(value, depth);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'invalid date' : value.toISOString();
  if (Array.isArray(value)) return value.slice(0, 20).map((item) => simplify(item, depth + 1) ?? null);
  if (typeof value !== 'object') return undefined;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return undefined;
  const result: Record<string, unknown> = {};
  for (const [name, content] of Object.entries(value)) assignSimple(result, name, content, depth + 1);
  return result;
}
