import type { ExitExplanation } from '@atrest/mongod';
import type { LastEnd } from './process-observation.js';
import type { SupervisedRun } from './supervised-run.js';

const REPORTED_LINES = 20;

/** What a server says of its master key, while it runs and when it starts. */
const KEY_CAUSES: readonly ExitExplanation['cause'][] = ['key-poller', 'key-unusable'];

/** How a run ended: for the report, and explained for the log. */
export interface RunEnd {
  readonly end: LastEnd;
  readonly explanation: ExitExplanation;
}

/** Draws the conclusions of a run whose log was read to its end. */
export function endOf(run: SupervisedRun, at: Date): RunEnd {
  const code = run.exit?.code ?? run.log.exitCode;
  const signal = run.exit?.signal ?? null;
  const failed = run.stop === null;
  const explanation = run.log.explain({ code, signal });
  const { error, hint, cause } = explanation;
  const killed = run.stop?.killedAt != null;
  const unclean = failed || killed || (code !== null && code !== 0);
  const said = killed ? 'The process did not stop in time and was killed.' : [error, hint].filter((text) => text !== null).join(' ');
  return {
    end: {
      code,
      signal,
      error: unclean ? said : null,
      failed,
      endedForKey: failed && KEY_CAUSES.includes(cause) ? { at, detail: said } : null,
      lines: unclean ? run.log.lastLines(REPORTED_LINES) : [],
    },
    explanation,
  };
}

/** A start or removal that failed before any process ran. */
export function endedBy(error: Error): LastEnd {
  return { code: null, signal: null, error: error.message, failed: true, endedForKey: null, lines: [] };
}
