import type { ProcessGoal } from '@atrest/contracts';
import type { MemberFacts } from '@atrest/mongod';

/** Why a member cannot be copied as it is; null when it can. */
export function whyNotCopied(facts: MemberFacts): string | null {
  // A server in no set is what it is.
  if (facts.state === null || facts.state === 'PRIMARY' || facts.state === 'SECONDARY') return null;
  return `The member is ${facts.state}: what it holds is not what its set holds.`;
}

/**
 * What has changed at a member while it was copied, so that the copy may hold what the set has taken back, or is of two pieces; null when nothing has. A
 * rollback needs an election, so where the agent may not ask for its number the term tells.
 */
export function whatChanged(before: MemberFacts, after: MemberFacts): string | null {
  if (before.setName !== after.setName) return 'it is in another replica set by now';
  if (before.state !== after.state) return `it was ${before.state} and is ${after.state}`;
  if (before.rollbackId !== after.rollbackId) return 'it rolled back writes';
  if (before.term !== after.term) return `its set elected a primary (term ${before.term}, then ${after.term})`;
  return null;
}

/** Why a member may not be stopped to be copied; null when it may: it is no primary, and the others elect and acknowledge without it. */
export function whyNotStopped(facts: MemberFacts, set: ProcessGoal['replicaSet']): string | null {
  if (facts.setName === null) return 'it is in no replica set: nobody would take its place';
  if (facts.state === 'PRIMARY') return 'it is the primary';
  if (facts.members.length === 0) return 'the agent may not ask how the other members are';
  const others = facts.members.filter((member) => !member.self);
  if (!others.some((member) => member.healthy && member.state === 'PRIMARY')) return 'its set has no primary';
  const votes = (host: string): number => set?.members.find((member) => member.host === host)?.votes ?? 1;
  const all = facts.members.reduce((sum, member) => sum + votes(member.host), 0);
  const up = others.filter((member) => member.healthy && ['PRIMARY', 'SECONDARY', 'ARBITER'].includes(member.state));
  const left = up.reduce((sum, member) => sum + votes(member.host), 0);
  return left * 2 > all ? null : `only ${left} of ${all} votes would be left, which is no majority`;
}
