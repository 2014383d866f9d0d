import type { KEY_NEEDS } from '@atrest/contracts';

/** Snapshots under one key, from the counters of its epochs. */
export interface SnapshotsUnderKey {
  readonly completed: number;
  readonly unfinished: number;
  readonly oldestCreatedAt: Date | null;
  readonly newestCreatedAt: Date | null;
  readonly lastExpiresAt: Date | null;
}

export const NO_SNAPSHOTS: SnapshotsUnderKey = {
  completed: 0,
  unfinished: 0,
  oldestCreatedAt: null,
  newestCreatedAt: null,
  lastExpiresAt: null,
};

/** What depends on a key. */
export interface Dependents {
  readonly snapshots: SnapshotsUnderKey;
  /** That use it now, by name; the first of them. */
  readonly clusters: { readonly count: number; readonly names: readonly string[] };
  /** An enabled key configuration of the project names it. */
  readonly configured: boolean;
}

export interface Deletion {
  readonly harmless: boolean;
  /** Null: it cannot be told. */
  readonly harmlessFrom: Date | null;
  readonly neededFor: readonly { readonly need: (typeof KEY_NEEDS)[number]; readonly detail: string }[];
}

/**
 * Whether a key may be deleted, and since or from when. Pure.
 *
 * While something new is put under the key nobody can tell when that ends. After that it is needed until its last snapshot expires; one that is expired and
 * still there is the last good one of its cluster, which is kept until there is a newer one.
 */
export function judgeDeletion({ snapshots, clusters, configured }: Dependents, now: Date): Deletion {
  const { completed, unfinished, lastExpiresAt } = snapshots;
  const neededFor: Deletion['neededFor'][number][] = [];
  if (clusters.count > 0) {
    const more = clusters.count > clusters.names.length ? ', …' : '';
    const are = clusters.count === 1 ? '1 cluster uses' : `${clusters.count} clusters use`;
    neededFor.push({ need: 'CLUSTERS', detail: `${are} it now: ${clusters.names.join(', ')}${more}. Their databases stop with it.` });
  }
  if (configured) neededFor.push({ need: 'KEY_CONFIGURATION', detail: 'The key configuration of the project names it.' });
  if (completed + unfinished > 0) neededFor.push({ need: 'SNAPSHOTS', detail: snapshotsDetail(snapshots, now) });
  const used = clusters.count > 0 || configured || unfinished > 0;
  const harmless = neededFor.length === 0;
  const expires = !used && lastExpiresAt !== null && lastExpiresAt > now ? lastExpiresAt : null;
  return { harmless, harmlessFrom: harmless ? now : expires, neededFor };
}

function snapshotsDetail({ completed, unfinished, lastExpiresAt }: SnapshotsUnderKey, now: Date): string {
  const parts = [
    completed === 0 ? [] : [`${completed === 1 ? '1 snapshot' : `${completed} snapshots`} can only be restored with it`],
    unfinished === 0 ? [] : [`${unfinished === 1 ? '1 snapshot is' : `${unfinished} snapshots are`} being taken under it`],
  ].flat();
  const end =
    completed === 0 || lastExpiresAt === null
      ? ''
      : lastExpiresAt > now
        ? ` The last one expires at ${lastExpiresAt.toISOString().slice(0, 19)}Z.`
        : ' The last good snapshot of a cluster is kept until there is a newer one.';
  return `${parts.join(', and ')}.${end}`;
}
