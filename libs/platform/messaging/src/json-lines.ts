/**
 * Values as one text for `string_to_array(…, E'\n', '')::json[]`, nothing where there is none: JSON contains no line break. As an array,
 * every quote of every event would have to be escaped here and unescaped in PostgreSQL.
 */
export function jsonLines(values: readonly unknown[]): string {
  return values.map((value) => (value === undefined ? '' : JSON.stringify(value))).join('\n');
}
