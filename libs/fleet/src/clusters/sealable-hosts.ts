import { Refusal } from '../refusal.js';
import type { PlacementHost } from './placement.js';
import type { ProcessDefinition } from './process-goal.js';
import { needsSecret, type AccessSettings } from './settings/access-settings.js';

/** The hosts on which Atrest may place processes of a cluster: secrets go only where they can be sealed for. */
export const placeable = (access: AccessSettings, hosts: readonly PlacementHost[]): readonly PlacementHost[] =>
  needsSecret(access) ? hosts.filter((host) => host.sealable) : hosts;

/** @throws {Refusal} for processes on hosts that no secret can be sealed for */
export function checkSealable(access: AccessSettings, processes: readonly ProcessDefinition[], hosts: readonly PlacementHost[]): void {
  if (!needsSecret(access)) return;
  const deaf = processes.find((process) => hosts.every((host) => host.id !== process.hostId || !host.sealable));
  if (deaf === undefined) return;
  throw new Refusal(
    'INVALID_CLUSTER_CONFIGURATION',
    `No secret can be sealed for the host ${deaf.hostname}: its agent is of a release without a sealing key. Update the agent and try again.`,
    [deaf.hostname],
  );
}
