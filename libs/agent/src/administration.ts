import type { ProcessGoal } from '@atrest/contracts';
import {
  chooseStepUp,
  initialConfiguration,
  MongodConnection,
  parseAddress,
  type CommandOutcome,
  type MongodAddress,
} from '@atrest/mongod';
import type { AdministrationOutcome } from './administration-outcome.js';
import type { MembershipStep } from './membership.js';
import type { ProcessProbe } from './process-probe.js';

const done: AdministrationOutcome = { ok: true };

/** Initiates the set of a cluster that was just created. A set that is initiated by now is as good. */
export async function initiate(connection: MongodConnection, goal: ProcessGoal): Promise<AdministrationOutcome> {
  if (!goal.replicaSet) return done;
  const outcome = await connection.initiate(initialConfiguration(goal.replicaSet));
  if (!outcome.ok && outcome.failure.kind === 'already-initialized') return done;
  return named(outcome, `The replica set ${goal.replicaSet.name} could not be initiated`);
}

/**
 * Has one member call an election, wherever it runs. Asked directly, the member must itself see all others and no primary, so that an order
 * that comes late does no harm; when it does not see them yet, it is asked again soon. A lost election is no error: the set calls one by itself within seconds.
 */
export async function stepUp(
  own: Pick<MongodConnection, 'replicaSetStatus' | 'stepUp'>,
  goal: ProcessGoal,
  host: string,
  connect: (address: MongodAddress) => MongodConnection = (address) => new MongodConnection(address),
): Promise<AdministrationOutcome> {
  if (!goal.replicaSet) return done;
  const ownStatus = await own.replicaSetStatus();
  const isOwn = ownStatus.ok && ownStatus.value.members.some((member) => member.self && member.name === host);
  const other = isOwn ? null : connect(parseAddress(host));
  const connection = other ?? own;
  try {
    const status = isOwn ? ownStatus : await connection.replicaSetStatus();
    if (!status.ok) return named(status, `${host} could not be stepped up`);
    const { kind } = chooseStepUp(status.value, goal.replicaSet.members);
    if (kind !== 'step-up') return kind === 'has-primary' ? done : { ok: 'too-early' };
    const outcome = await connection.stepUp();
    return !outcome.ok && outcome.failure.kind === 'election-failed' ? done : named(outcome, `${host} could not be stepped up`);
  } finally {
    await other?.close();
  }
}

/** Adds shards to a cluster, one after the other. */
export async function addShards(connection: MongodConnection, goal: ProcessGoal, names: readonly string[]): Promise<AdministrationOutcome> {
  for (const shard of goal.router?.shards ?? []) {
    if (!names.includes(shard.name)) continue;
    const outcome = named(await connection.addShard(shard), `The shard ${shard.name} could not be added`);
    if (!outcome.ok) return outcome;
  }
  return done;
}

/** Gives the set its next configuration, made from the one that was seen: when it has changed since, the set refuses it. */
export async function changeMembers(
  probe: Pick<ProcessProbe, 'connection' | 'view'>,
  step: Extract<MembershipStep, { kind: 'reconfigure' }>,
): Promise<AdministrationOutcome> {
  const configuration = probe.view.membership?.configuration;
  if (!configuration) return { ok: 'too-early' };
  const next = { ...configuration, version: Number(configuration['version']) + 1, members: step.members };
  return named(await probe.connection.reconfigure(next), `The replica set could not be changed (${step.what})`);
}

/** Has this primary hand over. That the connection is lost is no failure: some servers close all when they step down. */
export async function yieldPrimary(probe: Pick<ProcessProbe, 'connection'>): Promise<AdministrationOutcome> {
  const outcome = await probe.connection.stepDown();
  return !outcome.ok && outcome.failure.kind === 'unreachable' ? done : named(outcome, 'The primary could not step down');
}

function named(outcome: CommandOutcome<unknown>, what: string): AdministrationOutcome {
  return outcome.ok ? done : { ok: false, error: `${what}: ${outcome.failure.message}` };
}
