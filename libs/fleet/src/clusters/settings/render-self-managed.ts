import { isSilent } from '../../hosts/host-liveness.js';
import type { ClusterProcess, ClusterWithProcesses } from '../cluster-view.js';
import { isOutdated } from '../process-view.js';
import { renderAccess } from './access-settings.js';
import { apiTime } from './render-common.js';

const timeOf = (moment: string | null | undefined): string | null => (moment == null ? null : apiTime(new Date(moment)));

/** Values of arguments that are secrets by their name, e.g. `--kmipClientCertificatePassword`. */
const SECRET_ARGUMENT = /password|secret|token|credential/i;
export const MASK = '***';

/** Command-line arguments with secret values replaced: `--name value`, `--name=value`, `--setParameter name=value`, and passwords in URLs. */
export function maskArguments(args: readonly string[]): string[] {
  return args.map((arg, index) => {
    const before = args[index - 1];
    if (before !== undefined && before.startsWith('-') && !before.includes('=') && SECRET_ARGUMENT.test(before) && !arg.startsWith('--'))
      return MASK;
    // Up to the name that the value belongs to: `--setParameter=ldapQueryPassword=…` has two.
    const named = /^(?:--?setParameter=)?[^=]+=/.exec(arg)?.[0];
    if (named !== undefined && SECRET_ARGUMENT.test(named)) return `${named}${MASK}`;
    return arg.replace(/(\/\/[^/@:\s]*:)[^@/\s]*@/g, `$1${MASK}@`);
  });
}

/**
 * Arguments as a client sends them back, with the secrets that it was not shown put in again. `null`: one is starred that was never shown so.
 */
export function unmaskArguments(args: readonly string[], current: readonly string[]): readonly string[] | null {
  const shown = maskArguments(current);
  const real = args.map((arg, index) => {
    if (!arg.includes(MASK)) return arg;
    const at = shown.findIndex((each, position) => each === arg && (arg !== MASK || shown[position - 1] === args[index - 1]));
    return at === -1 ? null : (current[at] as string);
  });
  return real.every((arg) => arg !== null) ? real : null;
}

function changeOf(process: ClusterProcess): 'JOINING' | 'LEAVING' | 'RESTARTING' | null {
  if (process.leaving) return 'LEAVING';
  if (process.joining) return 'JOINING';
  return isOutdated(process) && !process.lost ? 'RESTARTING' : null;
}

function renderProcess(process: ClusterProcess, now: Date): object {
  const seen = process.observation;
  return {
    id: process.id,
    hostId: process.hostId,
    hostname: process.hostname,
    kind: process.kind,
    replicaSet: process.replicaSet,
    port: process.port,
    dbPath: process.dbPath,
    extraArguments: maskArguments(process.extraArguments),
    adopted: process.adopted,
    ...(process.replicaSet !== null && { priority: process.priority, votes: process.votes, arbiterOnly: process.arbiterOnly }),
    status: seen?.status ?? 'unknown',
    pid: seen?.pid ?? null,
    memberState: seen?.memberState ?? null,
    writable: seen?.writable ?? false,
    version: seen?.version ?? null,
    error: seen?.error ?? null,
    stale: isSilent(process.hostHeardAt, now),
    lastHeardAt: process.hostHeardAt === null ? null : apiTime(process.hostHeardAt),
    stopOverdueSince: timeOf(seen?.stopOverdueSince),
    startedByHandAt: timeOf(seen?.startedByHandAt),
    change: changeOf(process),
    lost: process.lost,
  };
}

/** The extension object of a cluster in answers: what Atlas has no words for. */
export function renderSelfManaged(view: ClusterWithProcesses, now: Date): object {
  const { cluster, processes } = view;
  return {
    state: cluster.state,
    disabledReason: cluster.disabledReason,
    pendingChanges: cluster.pendingChanges,
    stale: processes.some((process) => isSilent(process.hostHeardAt, now)),
    ...renderAccess(
      cluster.settings.access,
      processes.flatMap((process) => process.observation?.administrator ?? []),
    ),
    processes: processes.map((process) => renderProcess(process, now)),
  };
}
