import type { Logger } from '@atrest/platform-logging';
import type { ServiceDatabase } from '@atrest/platform-persistence';
import { BackgroundLoop, type Clock } from '@atrest/platform-time';
import type { ClusterLifecycle } from './cluster-lifecycle.js';
import { lockDueCluster, makeDue } from './clusters.repository.js';

/** What waits for time alone (phases that take too long, hosts that fall silent) is noticed within a second of its moment. */
const INTERVAL_MS = 1_000;

/** A cluster whose reconciliation failed is left alone for this long. */
const RETRY_MS = 30_000;

/** Looks at clusters when their time has come. Any number of replicas share the work: a cluster that one looks at is passed over by the others. */
export class Reconciler {
  private readonly loop: BackgroundLoop;

  constructor(
    private readonly parts: {
      readonly database: ServiceDatabase;
      readonly clock: Clock;
      readonly lifecycle: ClusterLifecycle;
      readonly logger: Logger;
    },
  ) {
    this.loop = new BackgroundLoop({
      name: 'reconciler',
      intervalMs: INTERVAL_MS,
      run: async () => ((await this.reconcileNext()) ? 'again' : undefined),
      onError: (error) => parts.logger.error({ err: error }, 'due clusters could not be read; trying again'),
    });
  }

  start(): void {
    this.loop.start();
  }

  wake(): void {
    this.loop.wake();
  }

  stop(): Promise<void> {
    return this.loop.stop();
  }

  /** Looks at the cluster that has been due for longest; false when none is. */
  async reconcileNext(): Promise<boolean> {
    const { database, clock, lifecycle, logger } = this.parts;
    let due: string | undefined;
    try {
      return await database.transaction(async (tx) => {
        due = await lockDueCluster(tx, clock.now());
        if (due === undefined) return false;
        await lifecycle.advance(tx, due);
        return true;
      });
    } catch (error) {
      if (due === undefined) throw error;
      // One cluster that cannot be judged must not keep the others waiting: it goes to the end of the queue.
      logger.error({ err: error, clusterId: due }, 'a cluster could not be reconciled; trying again later');
      const clusterId = due;
      const later = new Date(clock.now().getTime() + RETRY_MS);
      await database.transaction((tx) => makeDue(tx, [clusterId], later));
      return true;
    }
  }
}
