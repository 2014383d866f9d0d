import {
  keyConfigurationEvents,
  validityBreakerEvents,
  type EventDefinition,
  type EventEnvelope,
  type KeyConfigurationState,
} from '@atrest/contracts';
import { defineHandler, type EventHandler } from '@atrest/platform-messaging';
import { rows, signalAfterCommit, type Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import { clustersUsing, type ClusterLifecycle } from '../clusters/cluster-lifecycle.js';
import { makeDue } from '../clusters/clusters.repository.js';
import { rememberKeyConfiguration } from './key-configurations.js';

/** Wakes the reconciler. */
export const RECONCILE_CHANNEL = 'reconcile';

/**
 * So many clusters are taken along in the event's own transaction, which ends within a second. A key that thousands of clusters use would make it minutes
 * long; the rest is marked as due in the same transaction and carried out by the reconciler of every replica.
 */
const AT_ONCE = 50;

/** On the same topic and of no interest here: the breaker holds a configuration by its state. */
export const keyConfigurationIgnores = validityBreakerEvents as readonly EventDefinition[];

/**
 * False when it failed, without a trace of it in the transaction. One cluster that cannot be judged must not keep the others running on a key that is gone:
 * it is left to the reconciler, which tries it by itself and says why it fails. A lost connection fails here, too, and with it the whole attempt.
 */
async function taken(tx: Transaction, work: () => Promise<unknown>): Promise<boolean> {
  await rows(tx, 'SAVEPOINT one_cluster');
  try {
    await work();
    await rows(tx, 'RELEASE SAVEPOINT one_cluster');
    return true;
  } catch {
    await rows(tx, 'ROLLBACK TO SAVEPOINT one_cluster');
    return false;
  }
}

/**
 * Handlers for everything that is said about key configurations. They all do the same, because each event carries the whole state: remember it, and take
 * every cluster that uses the provider where that state leads. Remembering an old event again changes nothing; looking at a cluster again neither.
 */
export function keyConfigurationHandlers(parts: { readonly lifecycle: ClusterLifecycle; readonly clock: Clock }): EventHandler[] {
  const handle = async (event: EventEnvelope<KeyConfigurationState>, tx: Transaction): Promise<void> => {
    await rememberKeyConfiguration(tx, event.data);
    const clusters = await clustersUsing(tx, event.data.projectId, event.data.provider);
    const left = clusters.slice(AT_ONCE);
    for (const id of clusters.slice(0, AT_ONCE)) {
      if (!(await taken(tx, () => parts.lifecycle.advance(tx, id)))) left.push(id);
    }
    if (left.length === 0) return;
    await makeDue(tx, left, parts.clock.now());
    signalAfterCommit(tx, RECONCILE_CHANNEL);
  };
  return keyConfigurationEvents.map((definition) => defineHandler(definition, 'enforce-key-validity', handle));
}
