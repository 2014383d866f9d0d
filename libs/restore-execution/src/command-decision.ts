import {
  COMMAND_MAX_AGE_MS,
  COMMAND_MAX_LEAD_MS,
  type ClusterReference,
  type RestoreCommand,
  type RestoreCommandRejection,
  type RoleGrant,
} from '@atrest/contracts';
import { decideProjectAccess } from '@atrest/platform-auth';
import type { ClusterPresence } from './projections/cluster-projection.js';
import type { KnownProject } from './projections/project-projection.js';

/** One end of a restore, as this service knows it when it handles the command. */
export interface RestoreEnd {
  /** Null when never heard of. */
  readonly project: KnownProject | null;
  readonly cluster: ClusterPresence;
}

/** What counts besides the command itself, all of it as it stands when the command is handled, not when it was sent. */
export interface CommandFacts {
  /** The account that signed the command. */
  readonly signedBy: string;
  /** Of that account. */
  readonly grants: readonly RoleGrant[];
  readonly digest: string;
  /** The command for which the account used this idempotency key before. */
  readonly earlier: { readonly digest: string } | null;
  readonly source: RestoreEnd;
  readonly target: RestoreEnd;
}

export type CommandDecision =
  /** The same command again: it has been answered. */
  | { readonly kind: 'known' }
  | { readonly kind: 'accepted' }
  | { readonly kind: 'rejected'; readonly reason: RestoreCommandRejection; readonly detail: string };

/**
 * What becomes of a command whose signature holds. Pure.
 *
 * A project of which the account has no role is the same to it as one that does not exist, so that nobody learns which ids exist.
 */
export function decide(command: RestoreCommand, facts: CommandFacts, now: Date): CommandDecision {
  // First of all, so that nobody uses up the idempotency keys of somebody else.
  if (command.actingServiceAccount !== facts.signedBy) {
    return rejected('INVALID_SIGNATURE', 'The command names another service account than the one that signed it.');
  }
  if (facts.earlier !== null) {
    if (facts.earlier.digest === facts.digest) return { kind: 'known' };
    return rejected('IDEMPOTENCY_KEY_REUSED', 'The service account sent another command under this idempotency key before.');
  }
  return (
    untimely(command, now) ??
    unreachable(command, facts) ??
    unauthorised(command, facts) ??
    clusterMissing(command, facts) ??
    // Restores are not part of this release. A command is never kept to be carried out once they are: by then nobody expects it.
    rejected('RESTORES_NOT_SERVED', 'This release takes no restores yet. The command has no effect, now or later.')
  );
}

type Rejected = Extract<CommandDecision, { kind: 'rejected' }>;

function rejected(reason: RestoreCommandRejection, detail: string): Rejected {
  return { kind: 'rejected', reason, detail };
}

function untimely(command: RestoreCommand, now: Date): Rejected | null {
  const ageMs = now.getTime() - Date.parse(command.issuedAt);
  if (ageMs > COMMAND_MAX_AGE_MS) return rejected('EXPIRED', 'The command was issued more than 15 minutes before it was handled.');
  if (ageMs < -COMMAND_MAX_LEAD_MS) return rejected('EXPIRED', "The command was issued more than 2 minutes ahead of this service's clock.");
  return null;
}

/** Each end with the project's access for the account. Restoring reads from one project and replaces data in the other: both need the role. */
function accesses({ source, target }: RestoreCommand, facts: CommandFacts) {
  const accessTo = (reference: ClusterReference, { project }: RestoreEnd) => ({
    projectId: reference.projectId,
    access:
      project === null || project.deleted
        ? ('unknown-project' as const)
        : decideProjectAccess(facts.grants, ['GROUP_BACKUP_MANAGER', 'GROUP_OWNER'], project),
  });
  return [accessTo(source, facts.source), accessTo(target, facts.target)];
}

function unreachable(command: RestoreCommand, facts: CommandFacts): Rejected | null {
  const unknown = accesses(command, facts).find(({ access }) => access === 'unknown-project');
  return unknown ? rejected('UNKNOWN_PROJECT', `There is no project ${unknown.projectId} for this service account.`) : null;
}

function unauthorised(command: RestoreCommand, facts: CommandFacts): Rejected | null {
  const forbidden = accesses(command, facts).find(({ access }) => access === 'forbidden');
  if (!forbidden) return null;
  return rejected('NOT_AUTHORISED', `The service account needs GROUP_BACKUP_MANAGER or GROUP_OWNER in project ${forbidden.projectId}.`);
}

/** Snapshots may outlive the cluster they were taken of, but only a cluster that is there can be restored into. */
function clusterMissing({ source, target }: RestoreCommand, facts: CommandFacts): Rejected | null {
  const missing = facts.source.cluster === 'unknown' ? source : facts.target.cluster === 'present' ? null : target;
  return missing && rejected('UNKNOWN_CLUSTER', `There is no cluster ${missing.clusterName} in project ${missing.projectId}.`);
}
