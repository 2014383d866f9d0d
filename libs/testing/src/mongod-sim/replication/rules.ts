import { type OpTime, compareOpTimes } from './op-time.js';

/** Decisions of a replica set member: pure functions of what it knows. */

export type MemberState =
  'STARTUP' | 'PRIMARY' | 'SECONDARY' | 'RECOVERING' | 'STARTUP2' | 'UNKNOWN' | 'ARBITER' | 'DOWN' | 'ROLLBACK' | 'REMOVED';

/** Numbers of the states, as `replSetGetStatus` and heartbeats carry them. */
export const STATE_NUMBERS: Record<MemberState, number> = {
  STARTUP: 0,
  PRIMARY: 1,
  SECONDARY: 2,
  RECOVERING: 3,
  STARTUP2: 5,
  UNKNOWN: 6,
  ARBITER: 7,
  DOWN: 8,
  ROLLBACK: 9,
  REMOVED: 10,
};

export function stateFromNumber(value: number | undefined): MemberState {
  for (const [name, number] of Object.entries(STATE_NUMBERS)) if (number === value) return name as MemberState;
  return 'UNKNOWN';
}

/** How many of `voters` make a majority. */
export function majorityOf(voters: number): number {
  return Math.floor(voters / 2) + 1;
}

/** What a member weighs when another one asks for its vote. */
export interface Voter {
  setName: string;
  term: number;
  configVersion: number;
  configTerm: number;
  lastApplied: OpTime;
  /** Term of the last vote it gave. */
  lastVoteTerm: number;
}

export interface VoteRequest {
  setName: string;
  dryRun: boolean;
  term: number;
  configVersion: number;
  configTerm: number;
  lastApplied: OpTime;
}

/** Why a vote is refused, or undefined when it is given. */
export function voteRefusal(voter: Voter, request: VoteRequest): string | undefined {
  if (request.setName !== voter.setName) return `candidate's set name (${request.setName}) differs from mine (${voter.setName})`;
  if (request.term < voter.term) return `candidate's term (${request.term}) is lower than mine (${voter.term})`;
  const older =
    request.configTerm !== voter.configTerm ? request.configTerm < voter.configTerm : request.configVersion < voter.configVersion;
  if (older) return `candidate's config with {version: ${request.configVersion}, term: ${request.configTerm}} is older than mine`;
  if (compareOpTimes(request.lastApplied, voter.lastApplied) < 0) return `candidate's data is staler than mine`;
  if (!request.dryRun && voter.lastVoteTerm >= request.term) return `already voted for another candidate this term (${voter.lastVoteTerm})`;
  return undefined;
}

/** How far a member has come. */
export interface Progress {
  /** Reachable as far as we know. */
  up: boolean;
  votes: number;
  /** May become primary. */
  electable: boolean;
  applied: OpTime;
  durable: OpTime;
}

/** The newest optime that a majority of the voters has on disk; undefined when there is none yet. */
export function majorityOpTime(members: readonly Progress[]): OpTime | undefined {
  const voters = members.filter((member) => member.votes > 0).map((member) => member.durable);
  voters.sort((a, b) => compareOpTimes(b, a));
  return voters[majorityOf(voters.length) - 1];
}

/**
 * A primary may step down without losing what it acknowledged: a majority that is up has everything, and at least one of them can
 * be elected. `members[self]` is the primary. A set of one has nobody to wait for.
 */
export function isSafeToStepDown(members: readonly Progress[], self: number): boolean {
  const target = members[self]?.applied;
  if (target === undefined || members.length === 1) return true;
  const caughtUp = members.filter((member, index) => index === self || (member.up && compareOpTimes(member.applied, target) >= 0));
  const votes = caughtUp.reduce((sum, member) => sum + member.votes, 0);
  const voters = members.reduce((sum, member) => sum + member.votes, 0);
  const other = members.some(
    (member, index) => index !== self && member.up && member.electable && compareOpTimes(member.applied, target) >= 0,
  );
  return other && votes >= majorityOf(voters);
}

/** Why a member must not seek election, or undefined when it may. */
export function electionObstacle(member: {
  state: MemberState;
  priority: number;
  votesUp: number;
  voters: number;
  frozenUntil: number;
  now: number;
}): string | undefined {
  if (member.state !== 'SECONDARY') return `not a secondary (${member.state})`;
  if (member.priority === 0) return 'priority is 0';
  if (member.votesUp < majorityOf(member.voters)) return 'not seeing a majority';
  if (member.now < member.frozenUntil) return 'still waiting until the stepdown or freeze period is over';
  return undefined;
}

/** A member one could copy the oplog from. */
export interface SourceCandidate {
  up: boolean;
  state: MemberState;
  applied: OpTime;
}

/** Index of the member to sync from: the primary, else the most advanced member that is ahead of us. */
export function chooseSyncSource(members: readonly SourceCandidate[], self: number, mine: OpTime): number | undefined {
  let best: number | undefined;
  for (const [index, member] of members.entries()) {
    if (index === self || !member.up) continue;
    if (member.state === 'PRIMARY') return index;
    if (member.state !== 'SECONDARY' || compareOpTimes(member.applied, mine) <= 0) continue;
    if (best === undefined || compareOpTimes(member.applied, (members[best] as SourceCandidate).applied) > 0) best = index;
  }
  return best;
}

/**
 * What the oplog of a sync source says to a member whose newest entry is `mine`. `anchor` is the source's first entry that is not earlier, `newest` its
 * last one. A source that is not ahead proves nothing: it may be a former primary that nobody has told yet.
 */
export function judgeSource(mine: OpTime, anchor: OpTime | undefined, newest: OpTime): 'follow' | 'behind' | 'diverged' {
  if (anchor !== undefined && compareOpTimes(anchor, mine) === 0) return 'follow';
  return compareOpTimes(newest, mine) <= 0 ? 'behind' : 'diverged';
}
