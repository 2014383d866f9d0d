/** What the issue of the services over Kafka asks for. */
const FULL = { ROUNDS: 200, LAG: 100_000, AWAY_SECONDS: 300 } as const;

/**
 * How large a fault is made: `ATREST_FAULT_<name>` when set, the full scale with `ATREST_FAULTS=full` (minutes per test), else what the test
 * gives for every day.
 */
export function faultScale(name: keyof typeof FULL, everyDay: number, environment: NodeJS.ProcessEnv = process.env): number {
  const said = environment[`ATREST_FAULT_${name}`];
  if (said === undefined) return environment['ATREST_FAULTS'] === 'full' ? FULL[name] : everyDay;
  const scale = Number(said);
  if (!Number.isSafeInteger(scale) || scale < 1) throw new RangeError(`ATREST_FAULT_${name} must be a whole number of at least 1`);
  return scale;
}
