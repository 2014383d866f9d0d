import type { ReplicaSetChanges } from '@atrest/contracts';
import type { MemberStatus, ReplicaSetStatus } from '@atrest/mongod';

/** One member as the configuration of its set has it; what is not read here is kept as it is. */
export interface ConfiguredMember {
  readonly _id: number;
  readonly host: string;
  readonly priority: number;
  readonly votes: number;
  readonly arbiterOnly?: boolean;
}

export interface SetConfiguration {
  readonly version: number;
  readonly members: readonly ConfiguredMember[];
}

/** What the primary's agent does next about the members of its set. */
export type MembershipStep =
  | { readonly kind: 'none' }
  /** Something else has to happen first, and will. */
  | { readonly kind: 'wait'; readonly because: string }
  /** Nothing will happen by itself. */
  | { readonly kind: 'blocked'; readonly because: string }
  | { readonly kind: 'reconfigure'; readonly members: readonly ConfiguredMember[]; readonly what: string }
  | { readonly kind: 'step-down' };

const SERVING = new Set(['PRIMARY', 'SECONDARY', 'ARBITER']);

const isElectable = (member: ConfiguredMember): boolean => member.votes > 0 && member.priority > 0 && member.arbiterOnly !== true;

/**
 * The next step from the members that a set has to the ones that are ordered: one voting member at a time, who joins before who leaves. A new member gets its
 * vote only when it has the data: a vote that cannot be cast brings the set nearer to losing its majority. Nobody is taken out when the rest would not have
 * a majority of healthy members and one that can be primary.
 */
export function nextMembershipStep(changes: ReplicaSetChanges, configuration: SetConfiguration, status: ReplicaSetStatus): MembershipStep {
  const { members } = configuration;
  const seen = new Map(status.members.map((member) => [member.name, member]));
  const self = status.members.find((member) => member.self)?.name;
  return (
    joinNext(changes, members, seen) ??
    leaveNext(changes, members, seen, self) ??
    yieldNext(changes, members, seen, self) ?? { kind: 'none' }
  );
}

type Seen = ReadonlyMap<string, MemberStatus>;

const serves = (seen: Seen, host: string): boolean => {
  const status = seen.get(host);
  return status !== undefined && status.healthy && SERVING.has(status.state);
};

function joinNext({ joining }: ReplicaSetChanges, members: readonly ConfiguredMember[], seen: Seen): MembershipStep | null {
  for (const wanted of joining) {
    const present = members.find((member) => member.host === wanted.host);
    const { host, priority, votes } = wanted;
    if (present === undefined) {
      const taken = members.some((member) => member._id === wanted.id);
      const _id = taken ? Math.max(...members.map((member) => member._id)) + 1 : wanted.id;
      // An arbiter has no data to wait for.
      const member = wanted.arbiterOnly ? { _id, host, priority: 0, votes, arbiterOnly: true } : { _id, host, priority: 0, votes: 0 };
      return { kind: 'reconfigure', members: [...members, member], what: `adding ${host}` };
    }
    if (present.votes === votes && present.priority === priority) continue;
    if (!serves(seen, host)) return { kind: 'wait', because: `${host} is ${seen.get(host)?.state ?? 'not seen'}` };
    const changed = members.map((member) => (member === present ? { ...member, priority, votes } : member));
    return { kind: 'reconfigure', members: changed, what: `giving ${host} its vote` };
  }
  const waiting = joining.find((wanted) => !serves(seen, wanted.host));
  return waiting === undefined ? null : { kind: 'wait', because: `${waiting.host} is ${seen.get(waiting.host)?.state ?? 'not seen'}` };
}

function leaveNext(
  { leaving }: ReplicaSetChanges,
  members: readonly ConfiguredMember[],
  seen: Seen,
  self: string | undefined,
): MembershipStep | null {
  const named = members.filter((member) => leaving.includes(member.host));
  const [next] = [...named.filter((member) => member.host !== self), ...named];
  if (next === undefined) return null;
  const rest = members.filter((member) => member !== next);
  const voters = rest.filter((member) => member.votes > 0);
  const healthy = voters.filter((member) => serves(seen, member.host));
  if (healthy.length * 2 <= voters.length) {
    return {
      kind: 'blocked',
      because: `Without ${next.host} the replica set would have no majority: ${healthy.length} of ${voters.length} voting members are healthy.`,
    };
  }
  if (!rest.some((member) => isElectable(member) && serves(seen, member.host) && !leaving.includes(member.host))) {
    return { kind: 'blocked', because: `Without ${next.host} no member of the replica set could be primary.` };
  }
  return next.host === self ? { kind: 'step-down' } : { kind: 'reconfigure', members: rest, what: `taking out ${next.host}` };
}

function yieldNext(
  { yields, leaving }: ReplicaSetChanges,
  members: readonly ConfiguredMember[],
  seen: Seen,
  self: string | undefined,
): MembershipStep | null {
  if (!yields || self === undefined) return null;
  const heir = members.find(
    (each) =>
      each.host !== self &&
      isElectable(each) &&
      seen.get(each.host)?.state === 'SECONDARY' &&
      serves(seen, each.host) &&
      !leaving.includes(each.host),
  );
  return heir === undefined ? { kind: 'wait', because: 'no other member can be primary' } : { kind: 'step-down' };
}
