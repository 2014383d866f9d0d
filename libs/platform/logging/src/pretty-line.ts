const SHOWN_FIRST = new Set(['time', 'level', 'service', 'msg', 'err']);

/** `12:00:01 INFO  fleet  message  name=value`, with the stack of an error below. For people at a terminal; machines get JSON. */
export function prettyLine(line: Record<string, unknown>): string {
  const time = textOf(line['time']).slice(11, 19);
  const level = textOf(line['level']).toUpperCase().padEnd(5);
  const attributes = Object.entries(line)
    .filter(([name]) => !SHOWN_FIRST.has(name))
    .map(([name, value]) => `${name}=${textOf(value)}`);
  const head = [`${time} ${level} ${textOf(line['service'])}`, textOf(line['msg']), ...attributes].filter(Boolean).join('  ');
  const error = line['err'];
  const stack = typeof error === 'object' && error !== null && 'stack' in error ? `\n${String(error.stack)}` : '';
  return `${head}${stack}\n`;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
}
