/** Real parts that a suite may need and that not every machine has. */
export type PartName = 'postgres' | 'kafka' | 'mongod' | 'mongos' | 'mongod-sim' | 'pykmip';

/** Thrown when a part that `ATREST_REQUIRE` names is missing. */
export class PartMissingError extends Error {
  constructor(part: PartName, install: string) {
    super(`ATREST_REQUIRE names '${part}', but it is missing: ${install}`);
    this.name = 'PartMissingError';
  }
}

/**
 * Says whether suites that need a part can run. A missing part is said once per file in a line that tells what to install;
 * when the comma-separated `ATREST_REQUIRE` names it, it is a failure instead.
 *
 * Use with `describe.skipIf(!partAvailable(…))`.
 *
 * @throws PartMissingError when the part is required and missing.
 */
export function partAvailable(part: PartName, available: boolean, install: string): boolean {
  if (available) return true;
  const required = (process.env['ATREST_REQUIRE'] ?? '').split(',').map((name) => name.trim());
  if (required.includes(part)) throw new PartMissingError(part, install);
  process.stderr.write(`skipped: needs ${part}: ${install}\n`);
  return false;
}
