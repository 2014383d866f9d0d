import { createHash } from 'node:crypto';
import type { RestoreCommand } from '@atrest/contracts';

/**
 * What two commands have in common that ask for the same: everything but the time of issue, so that a sender who is unsure whether the
 * first one arrived may sign it anew. Independent of the order in which members were written.
 */
export function digestOf(command: RestoreCommand): string {
  const { issuedAt: _, ...content } = command;
  return createHash('sha256').update(canonical(content)).digest('hex');
}

/** JSON with sorted members. Commands hold texts, whole numbers and objects only. */
function canonical(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`).join(',')}}`;
}
