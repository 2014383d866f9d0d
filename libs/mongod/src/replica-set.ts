import type { ProcessGoal } from '@atrest/contracts';

type ReplicaSetMember = NonNullable<ProcessGoal['replicaSet']>['members'][number];

/** Position in the oplog: term, then timestamp. */
export interface OpTime {
  readonly term: number;
  readonly timestamp: bigint;
}

/** What one member says of one member in `replSetGetStatus`. */
export interface MemberStatus {
  readonly id: number;
  /** `host:port` */
  readonly name: string;
  readonly healthy: boolean;
  /** `PRIMARY`, `SECONDARY`, `ARBITER`, `STARTUP2`, … */
  readonly state: string;
  readonly self: boolean;
  readonly opTime: OpTime | null;
}

export interface ReplicaSetStatus {
  readonly set: string;
  readonly members: readonly MemberStatus[];
}

export function compareOpTimes(a: OpTime, b: OpTime): number {
  if (a.term !== b.term) return a.term - b.term;
  return a.timestamp < b.timestamp ? -1 : a.timestamp > b.timestamp ? 1 : 0;
}

/** What to do about a primary, as one member sees its set. */
export type StepUpChoice =
  | { readonly kind: 'has-primary' }
  /** Not every member is there yet; stepping up now would make members compete. */
  | { readonly kind: 'wait'; readonly because: string }
  | { readonly kind: 'step-up'; readonly host: string };

/**
 * Chooses the one member that is stepped up after all members started together: healthy and SECONDARY like all others, able to be elected,
 * with the most recent operation; among equals the one that is asked (`self`), then the lowest id. Waiting for all costs half a second;
 * calling for an election before, or on several members, costs 6 to 12.
 */
export function chooseStepUp(status: ReplicaSetStatus, configured: readonly ReplicaSetMember[]): StepUpChoice {
  if (status.members.some((member) => member.healthy && member.state === 'PRIMARY')) return { kind: 'has-primary' };
  const missing = configured.find((member) => !status.members.some((seen) => seen.name === member.host));
  if (missing) return { kind: 'wait', because: `${missing.host} is not in the replica set's configuration` };
  const late = status.members.find((member) => !member.healthy || (member.state !== 'SECONDARY' && member.state !== 'ARBITER'));
  if (late) return { kind: 'wait', because: late.healthy ? `${late.name} is ${late.state}` : `${late.name} is not seen` };
  const electable = new Map(configured.map((member) => [member.host, member.priority > 0 && member.votes > 0 && !member.arbiterOnly]));
  const candidates = status.members.filter(
    (member) => member.state === 'SECONDARY' && electable.get(member.name) !== false && member.opTime !== null,
  );
  const best = candidates.sort((a, b) => compareOpTimes(b.opTime!, a.opTime!) || Number(b.self) - Number(a.self) || a.id - b.id)[0];
  return best ? { kind: 'step-up', host: best.name } : { kind: 'wait', because: 'no member can be elected' };
}

/** The configuration a new set is initiated with. */
export function initialConfiguration(set: {
  readonly name: string;
  readonly role: 'plain' | 'shard' | 'config';
  readonly members: readonly ReplicaSetMember[];
}): Record<string, unknown> {
  return {
    _id: set.name,
    ...(set.role === 'config' ? { configsvr: true } : {}),
    members: set.members.map((member) => ({
      _id: member.id,
      host: member.host,
      priority: member.priority,
      votes: member.votes,
      ...(member.arbiterOnly ? { arbiterOnly: true } : {}),
    })),
  };
}
