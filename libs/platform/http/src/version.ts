/** Where the versioned Atlas Admin API is served. */
export const API_PREFIX = '/api/atlas/v2';

/** Older prefixes that stand for one version each (docs, versioned API overview). */
export const LEGACY_PREFIXES = [
  { prefix: '/api/atlas/v1.0', version: '2023-01-01' },
  { prefix: '/api/atlas/v1.5', version: '2023-02-01' },
] as const;

const DATE = /^\d{4}-\d{2}-\d{2}$/;

/** Whether the text is a day of the calendar as `YYYY-MM-DD`. */
export function isVersionDate(text: string): boolean {
  if (!DATE.test(text)) return false;
  const date = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text);
}

/** The newest of an operation's versions that is not later than the asked date. ISO dates sort as text. */
export function newestNotLater(versions: readonly string[], date: string): string | undefined {
  return versions
    .filter((version) => version <= date)
    .reduce<string | undefined>((newest, version) => (newest === undefined || version > newest ? version : newest), undefined);
}

/**
 * The version of an operation that an `Accept` header asks for, or undefined when it asks for none that can be served (406).
 *
 * A dated Atlas media type decides when there is one. Where Atlas itself would answer 406 to a request without any date, a client that
 * accepts JSON (`application/json`, a wildcard, no header) gets the newest version: that is what a person with curl means.
 */
export function negotiateVersion(accept: string | undefined, versions: readonly string[]): string | undefined {
  const ranges = (accept ?? '*/*').split(',').map((range) => (range.split(';')[0] ?? '').trim().toLowerCase());
  const dated = ranges.filter((range) => range.startsWith('application/vnd.atlas.'));
  if (dated.length > 0) {
    for (const range of dated) {
      const date = /^application\/vnd\.atlas\.([^+]+)\+json$/.exec(range)?.[1];
      const version = date !== undefined && isVersionDate(date) ? newestNotLater(versions, date) : undefined;
      if (version !== undefined) return version;
    }
    return undefined;
  }
  const takesJson = ranges.some((range) => range === '' || range === '*/*' || range === 'application/*' || range === 'application/json');
  return takesJson ? newestNotLater(versions, '9999-12-31') : undefined;
}
