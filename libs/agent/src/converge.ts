import type { ProcessGoal } from '@atrest/contracts';
import type { StepUpChoice } from '@atrest/mongod';
import type { MembershipStep } from './membership.js';
import type { UsersView } from './server-users.js';

/** Whether a live process uses the data path (for mongos: the port) of a goal. */
export type Presence =
  /** Nobody has looked yet: nothing may be done. */
  { readonly kind: 'unknown' } | { readonly kind: 'absent' } | { readonly kind: 'present'; readonly pid: number };

/** What the leading member's agent sees of its replica set. */
export interface SetView {
  readonly self: 'uninitialized' | 'member' | 'other';
  /** A primary was seen since this process became ready: from then on elections are the set's own business. */
  readonly primarySeen: boolean;
  /** The other members, as long as the set is not initiated. */
  readonly peers: 'unknown' | 'unreachable' | 'initialized' | 'uninitialized';
  readonly choice: StepUpChoice | null;
}

/** What the leading mongos's agent sees of its cluster. */
export interface RouterView {
  /** Names in `listShards`, by the last answer of this run; null while there was none. */
  readonly shards: readonly string[] | null;
}

/** What is known of one process. Times are milliseconds of a clock that never jumps. */
export interface Reality {
  readonly presence: Presence;
  /** It takes connections. */
  readonly ready: boolean;
  /** SIGTERM (and later SIGKILL) was sent to the process that is present. */
  readonly stop: { readonly signalledAt: number; readonly killedAt: number | null } | null;
  /** The process belongs to another user: when a signal was last refused. */
  readonly deniedAt: number | null;
  /** The last run, start or removal failed: not before this time again. */
  readonly retryAt: number | null;
  /** A data path, or the rest of one, exists. */
  readonly dataExists: boolean;
  /** It was seen as a member of its set, or as the mongos of a complete cluster, in this or an earlier run. */
  readonly wasMember: boolean;
  /** Null unless this process leads its set and is ready. */
  readonly set: SetView | null;
  /** Null unless this mongos leads and is ready. */
  readonly router: RouterView | null;
  /** What is to be done about the members of its set; null unless this process is primary and changes are ordered. */
  readonly membership: MembershipStep | null;
  /** The users that its set should have; null unless this process is primary and its agent makes them. */
  readonly users: UsersView | null;
  /** Commands that change the set or the cluster: whether one is under way, when the next may come, and when a member was last stepped up in this run. */
  readonly administration: { readonly busy: boolean; readonly retryAt: number; readonly steppedUpAt: number | null };
}

export interface ConvergeSettings {
  /** SIGKILL only after this long: minutes, because an orderly stop of a big cache takes minutes and a kill costs a recovery. */
  readonly killAfterMs: number;
  /** No second step-up before this: an election the set calls by itself comes within 12 s, and two at a time compete. */
  readonly stepUpPatienceMs: number;
  /** A signal that was refused is tried again after this. */
  readonly deniedRetryMs: number;
}

/** Where the goal comes from. A remembered one was confirmed by the control plane only in an earlier life of this agent. */
export type Authority = 'confirmed' | 'remembered';

export type Action =
  | { readonly kind: 'start' }
  | { readonly kind: 'terminate' }
  | { readonly kind: 'kill' }
  | { readonly kind: 'remove-data' }
  /** The process was to be removed and nothing of it is left: it is no longer reported. */
  | { readonly kind: 'forget' }
  | { readonly kind: 'initiate' }
  | { readonly kind: 'step-up'; readonly host: string }
  | { readonly kind: 'make-users' }
  | { readonly kind: 'add-shards'; readonly names: readonly string[] }
  | Extract<MembershipStep, { kind: 'reconfigure' | 'step-down' }>;

/** What to do now. At most one action: each changes reality, and the next decision sees it. */
export interface Decision {
  readonly action: Action | null;
  /** When time alone may change the decision. */
  readonly wakeAt: number | null;
  /** Why the goal is not pursued, for the report. */
  readonly blocked: string | null;
}

export interface ConvergeInput {
  readonly goal: ProcessGoal;
  readonly authority: Authority;
  readonly reality: Reality;
  readonly settings: ConvergeSettings;
  readonly now: number;
}

const nothing: Decision = { action: null, wakeAt: null, blocked: null };
const act = (action: Action): Decision => ({ action, wakeAt: null, blocked: null });
const wait = (wakeAt: number): Decision => ({ action: null, wakeAt, blocked: null });
const blocked = (reason: string, wakeAt: number | null = null): Decision => ({ action: null, wakeAt, blocked: reason });

/** The next step from what is to what should be, for one process. Level-triggered: asked again with the same input, it answers the same. */
export function converge(input: ConvergeInput): Decision {
  const { goal, reality } = input;
  if (reality.presence.kind === 'unknown') return nothing;
  if (reality.presence.kind === 'present') {
    // A stop that has begun is seen through whatever the goal says by now: nothing else can be done with a process that is ending.
    if (reality.stop !== null) return seeStopThrough(reality.stop, input);
    return goal.desired === 'running' ? whileRunning(input) : stop(input);
  }
  return goal.desired === 'running' ? start(input) : whenStopped(input);
}

function stop({ reality, settings, now }: ConvergeInput): Decision {
  if (reality.deniedAt !== null && now < reality.deniedAt + settings.deniedRetryMs) {
    return blocked('The process belongs to another user and cannot be signalled.', reality.deniedAt + settings.deniedRetryMs);
  }
  return act({ kind: 'terminate' });
}

function seeStopThrough(begun: { signalledAt: number; killedAt: number | null }, { settings, now }: ConvergeInput): Decision {
  // A process that survives SIGKILL hangs in the kernel (a lost disk); there is nothing stronger.
  if (begun.killedAt !== null) return blocked('The process was killed and has not ended: it hangs in the kernel.');
  const killAt = begun.signalledAt + settings.killAfterMs;
  return now >= killAt ? act({ kind: 'kill' }) : wait(killAt);
}

function start({ goal, authority, reality, now }: ConvergeInput): Decision {
  if (goal.mayStart === false) return blocked('Its cluster is being stopped: it is not started again.');
  if (goal.requiresKey && authority !== 'confirmed') {
    return blocked('It uses a customer key and is started only when the control plane has confirmed the goal.');
  }
  if (reality.retryAt !== null && now < reality.retryAt) return wait(reality.retryAt);
  return act({ kind: 'start' });
}

function whenStopped({ goal, authority, reality, now }: ConvergeInput): Decision {
  if (goal.desired !== 'removed') return nothing;
  if (!goal.deleteData || goal.adopted || !reality.dataExists) return act({ kind: 'forget' });
  if (authority !== 'confirmed') return blocked('Data is deleted only when the control plane has confirmed the goal.');
  return reality.retryAt !== null && now < reality.retryAt ? wait(reality.retryAt) : act({ kind: 'remove-data' });
}

function whileRunning({ goal, reality, settings, now }: ConvergeInput): Decision {
  if (!reality.ready || reality.administration.busy) return nothing;
  const { retryAt } = reality.administration;
  const action = administration(goal, reality, settings, now);
  if (action === null) return nothing;
  if ('blocked' in action) return blocked(action.blocked);
  if ('at' in action) return wait(action.at);
  return now < retryAt ? wait(retryAt) : act(action);
}

const LOST_SET =
  'The replica set was initiated before, and none of its members knows of it any more: its data is gone, or its volume is not mounted. ' +
  'It is not initiated again, because an empty set would pass for the old one.';

function administration(
  goal: ProcessGoal,
  reality: Reality,
  settings: ConvergeSettings,
  now: number,
): Action | { at: number } | { blocked: string } | null {
  const { set, router } = reality;
  const { steppedUpAt } = reality.administration;
  if (goal.replicaSet?.leads && set !== null) {
    if (set.self === 'uninitialized' && set.peers === 'uninitialized' && !goal.adopted) {
      return reality.wasMember ? { blocked: LOST_SET } : { kind: 'initiate' };
    }
    if (set.self === 'member' && !set.primarySeen && set.choice?.kind === 'step-up') {
      const notBefore = steppedUpAt === null ? now : steppedUpAt + settings.stepUpPatienceMs;
      return now < notBefore ? { at: notBefore } : { kind: 'step-up', host: set.choice.host };
    }
  }
  const { membership, users } = reality;
  if (users?.kind === 'missing') return { kind: 'make-users' };
  if (users?.kind === 'foreign') return { blocked: users.because };
  if (membership?.kind === 'reconfigure' || membership?.kind === 'step-down') return membership;
  if (membership?.kind === 'blocked') return { blocked: membership.because };
  const missing = missingShards(goal, router) ?? [];
  return missing.length > 0 ? { kind: 'add-shards', names: missing } : null;
}

/** Shards that the cluster of a leading mongos still lacks: without any, a write finds no place to go. Null while unknown, none for every other process. */
export function missingShards(goal: ProcessGoal, router: RouterView | null): readonly string[] | null {
  // The shards of an adopted cluster are its own business, and may have other names than their replica sets.
  if (!goal.router?.leads || goal.adopted) return [];
  const known = router?.shards;
  if (known == null) return null;
  return goal.router.shards.map((shard) => shard.name).filter((name) => !known.includes(name));
}
