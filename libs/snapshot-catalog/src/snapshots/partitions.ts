import { rows, type ServiceDatabase } from '@atrest/platform-persistence';

/** Months for which there is a partition before they begin: one would do, two survive a month in which nothing ran. */
const MONTHS_AHEAD = 2;

/** The smallest id that an object made at this moment can have. */
export const firstIdOf = (moment: Date): string =>
  Math.floor(moment.getTime() / 1_000)
    .toString(16)
    .padStart(8, '0')
    .padEnd(24, '0');

/** A month in UTC. */
export interface Month {
  readonly year: number;
  /** 1 to 12. */
  readonly month: number;
}

export const monthOf = (moment: Date): Month => ({ year: moment.getUTCFullYear(), month: moment.getUTCMonth() + 1 });

/** The month of an id's moment. */
export const monthOfId = (id: string): Month => monthOf(new Date(Number.parseInt(id.slice(0, 8), 16) * 1_000));

const nameOf = ({ year, month }: Month): string => `snapshot_${year}_${String(month).padStart(2, '0')}`;

/** The partitions of the table of snapshots, by month. Those that are missing are made when they are needed: an imported catalogue is old, a clock may jump. */
export class SnapshotPartitions {
  private readonly known = new Set<string>();

  constructor(private readonly database: ServiceDatabase) {}

  /** Makes the partitions of this month and of those that follow soon. */
  async prepare(now: Date): Promise<void> {
    const { year, month } = monthOf(now);
    for (let ahead = 0; ahead <= MONTHS_AHEAD; ahead += 1) await this.ensure(monthOf(new Date(Date.UTC(year, month - 1 + ahead, 1))));
  }

  /** Makes the partition of a month, unless it is there. In a transaction of its own, which waits for none that writes snapshots. */
  async ensure(month: Month): Promise<void> {
    const name = nameOf(month);
    if (this.known.has(name)) return;
    await this.database.transaction(async (tx) => {
      // Replicas start together.
      await rows(tx, `SELECT pg_advisory_xact_lock(hashtextextended('snapshot-partitions', 0))`);
      const there = 'SELECT FROM pg_class WHERE relname = $1 AND relnamespace = current_schema()::regnamespace';
      if ((await rows(tx, there, [name])).length > 0) return;
      const from = firstIdOf(new Date(Date.UTC(month.year, month.month - 1, 1)));
      const to = firstIdOf(new Date(Date.UTC(month.year, month.month, 1)));
      // Attached rather than created in place, which would wait for whoever reads the table.
      await rows(tx, `CREATE TABLE ${name} (LIKE snapshot INCLUDING DEFAULTS INCLUDING CONSTRAINTS)`);
      await rows(tx, `ALTER TABLE snapshot ATTACH PARTITION ${name} FOR VALUES FROM ('${from}') TO ('${to}')`);
    });
    this.known.add(name);
  }
}
