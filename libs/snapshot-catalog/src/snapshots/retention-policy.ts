import type { ExtraRetention, PolicyItem, RetentionUnit, SnapshotFrequency } from '@atrest/contracts';

/** For how long a snapshot is kept. */
export interface Retention {
  readonly unit: RetentionUnit;
  readonly value: number;
}

const DAY_MS = 86_400_000;

/** When a retention that begins at `from` is over. Months and years are those of the calendar; a day that a month does not have is its last. */
export function endOf({ unit, value }: Retention, from: Date): Date {
  switch (unit) {
    case 'days':
      return new Date(from.getTime() + value * DAY_MS);
    case 'weeks':
      return new Date(from.getTime() + value * 7 * DAY_MS);
    case 'months':
      return addMonths(from, value);
    case 'years':
      return addMonths(from, value * 12);
  }
}

function addMonths(from: Date, months: number): Date {
  const [year, month] = [from.getUTCFullYear(), from.getUTCMonth() + months];
  const lastDay = new Date(Date.UTC(year, month + 1, 0)).getUTCDate();
  const moved = new Date(from);
  moved.setUTCFullYear(year, month, Math.min(from.getUTCDate(), lastDay));
  return moved;
}

/** The rarer comes first: it names a snapshot that serves several items with equal retention. */
const RARITY: readonly SnapshotFrequency[] = ['yearly', 'monthly', 'weekly', 'daily', 'hourly'];

const retentionOf = (item: PolicyItem): Retention => ({ unit: item.retentionUnit, value: item.retentionValue });

/** Of the items that one snapshot serves, the one that keeps it longest. `at`: a month has its own length. */
export function longestItem(items: readonly PolicyItem[], at: Date): PolicyItem | null {
  const ends = items.map((item) => ({ item, end: endOf(retentionOf(item), at).getTime() }));
  ends.sort((a, b) => b.end - a.end || RARITY.indexOf(a.item.frequencyType) - RARITY.indexOf(b.item.frequencyType));
  return ends[0]?.item ?? null;
}

/** The days that snapshots of a kind are kept beyond their retention. */
export function extraDays(extra: readonly ExtraRetention[], kind: SnapshotFrequency | 'on_demand'): number {
  return extra.find(({ frequencyType }) => frequencyType.toLowerCase() === kind)?.retentionDays ?? 0;
}

/** When a snapshot that serves these items goes: by the item that keeps it longest, with the extra days that its kind is given. Null: no item is left. */
export function expiryOf(items: readonly PolicyItem[], extra: readonly ExtraRetention[], completedAt: Date): Date | null {
  const ends = items.map((item) => endOf(retentionOf(item), completedAt).getTime() + extraDays(extra, item.frequencyType) * DAY_MS);
  return ends.length === 0 ? null : new Date(Math.max(...ends));
}

/** What is to become of a snapshot whose time may be over. */
export type GroomingDecision = 'delete' | 'keep' | 'keep-as-last-good';

/**
 * Whether a snapshot goes. The newest completed one of a cluster stays, however old: while nothing newer succeeds, it is all there is. Only somebody's own
 * decision deletes that.
 */
export function groom(
  snapshot: { readonly id: string; readonly status: 'completed' | 'failed'; readonly expiresAt: Date | null },
  lastGoodId: string | null,
  now: Date,
): GroomingDecision {
  if (snapshot.expiresAt === null || snapshot.expiresAt > now) return 'keep';
  return snapshot.status === 'completed' && snapshot.id === lastGoodId ? 'keep-as-last-good' : 'delete';
}

/** What a changed policy does to a snapshot that is there already. */
export type PolicyChangeDecision =
  { readonly kind: 'unchanged' } | { readonly kind: 'keep-until'; readonly expiresAt: Date } | { readonly kind: 'delete' };

/**
 * A changed policy touches what is there only when that is asked for: `updateSnapshots` gives the new retention to what items took, `deleteSnapshots` deletes
 * what only removed items took.
 */
export function afterPolicyChange(
  snapshot: { readonly policyItems: readonly string[]; readonly completedAt: Date; readonly expiresAt: Date | null },
  policy: { readonly items: readonly PolicyItem[]; readonly extra: readonly ExtraRetention[] },
  asked: { readonly updateSnapshots: boolean; readonly deleteSnapshots: boolean },
): PolicyChangeDecision {
  if (snapshot.policyItems.length === 0) return { kind: 'unchanged' };
  const left = policy.items.filter(({ id }) => snapshot.policyItems.includes(id));
  const expiresAt = expiryOf(left, policy.extra, snapshot.completedAt);
  if (expiresAt === null) return { kind: asked.deleteSnapshots ? 'delete' : 'unchanged' };
  if (!asked.updateSnapshots || expiresAt.getTime() === snapshot.expiresAt?.getTime()) return { kind: 'unchanged' };
  return { kind: 'keep-until', expiresAt };
}
