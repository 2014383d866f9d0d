/**
 * An agent not heard of for this long is shown as such, and what it last reported is stale. Agents report every few seconds and poll without
 * a pause, so this is several missed reports: half of it would blame a short network problem, double would leave an operator guessing for a minute.
 */
export const HOST_SILENT_AFTER_MS = 30_000;

/** Whether the agent of a host has been heard of recently. A host that never reported is silent. */
export function isSilent(lastHeardAt: Date | null, now: Date): boolean {
  return lastHeardAt === null || now.getTime() - lastHeardAt.getTime() > HOST_SILENT_AFTER_MS;
}
