/** A moment as the Atlas Admin API writes it: ISO-8601 UTC with whole seconds, `2026-08-10T03:35:05Z`. */
export function atlasTime(date: Date): string {
  return `${date.toISOString().slice(0, 19)}Z`;
}
