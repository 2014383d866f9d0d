import {
  keyConfigurationAttentionNeeded,
  keyConfigurationInvalidated,
  keyConfigurationReachable,
  keyConfigurationRemoved,
  keyConfigurationSaved,
  keyConfigurationUnreachable,
  keyConfigurationValidated,
  type EventDefinition,
  type EventEnvelope,
  type KeyConfigurationState,
} from '@atrest/contracts';
import { defineHandler, type EventHandler } from '@atrest/platform-messaging';
import { signalAfterCommit, type Transaction } from '@atrest/platform-persistence';
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

export const keyConfigurationEvents: readonly EventDefinition<KeyConfigurationState>[] = [
  keyConfigurationSaved,
  keyConfigurationRemoved,
  keyConfigurationInvalidated,
  keyConfigurationValidated,
  keyConfigurationUnreachable,
  keyConfigurationReachable,
  keyConfigurationAttentionNeeded,
];

/**
 * Handlers for everything that is said about key configurations. They all do the same, because each event carries the whole state: remember it, and take
 * every cluster that uses the provider where that state leads. Remembering an old event again changes nothing; looking at a cluster again neither.
 */
export function keyConfigurationHandlers(parts: { readonly lifecycle: ClusterLifecycle; readonly clock: Clock }): EventHandler[] {
  const handle = async (event: EventEnvelope<KeyConfigurationState>, tx: Transaction): Promise<void> => {
    await rememberKeyConfiguration(tx, event.data);
    const clusters = await clustersUsing(tx, event.data.projectId, event.data.provider);
    for (const id of clusters.slice(0, AT_ONCE)) await parts.lifecycle.advance(tx, id);
    if (clusters.length <= AT_ONCE) return;
    await makeDue(tx, clusters.slice(AT_ONCE), parts.clock.now());
    signalAfterCommit(tx, RECONCILE_CHANNEL);
  };
  return keyConfigurationEvents.map((definition) => defineHandler(definition, 'enforce-key-validity', handle));
}
