import type { CommandOutcome } from '../command-outcome.js';

/** A command to one server, and its named outcome. 64-bit integers are as they came. `MongodConnection.run` is one. */
export type RunCommand = (
  db: string,
  command: Readonly<Record<string, unknown>>,
  limitMs?: number,
) => Promise<CommandOutcome<Record<string, unknown>>>;

/** The outcome with another value. */
export function mapOutcome<T, U>(outcome: CommandOutcome<T>, to: (value: T) => U): CommandOutcome<U> {
  return outcome.ok ? { ok: true, value: to(outcome.value) } : outcome;
}
