import {
  clusterConcernRaised,
  clusterCreated,
  clusterDeleted,
  clusterDeletionStarted,
  clusterDisabled,
  clusterDisablingStarted,
  clusterEnabled,
  clusterEnablingStarted,
  clusterUpdated,
  keyConfigurationAttentionNeeded,
  keyConfigurationEvents,
  keyConfigurationInvalidated,
  keyConfigurationReachable,
  keyConfigurationRemoved,
  keyConfigurationSaved,
  keyConfigurationUnreachable,
  keyConfigurationValidated,
  projectCreated,
  projectDeleted,
  projectUpdated,
  validityBreakerEvents,
  type EventDefinition,
  type KeyConfigurationState,
} from '@atrest/contracts';
import { defineHandler, type EventHandler } from '@atrest/platform-messaging';
import type { KeyConfigurationEventName } from '../alerts/alert.js';
import type { Announcements } from '../announcements.js';
import type { ClusterProjection } from './clusters.js';
import type { ProjectProjection } from './projects.js';

const PROJECT_EVENTS = [projectCreated, projectUpdated, projectDeleted];
const CLUSTER_EVENTS = [
  clusterCreated,
  clusterUpdated,
  clusterDisablingStarted,
  clusterDisabled,
  clusterEnablingStarted,
  clusterEnabled,
  clusterDeletionStarted,
  clusterDeleted,
];
const KEY_CONFIGURATION_EVENTS: readonly [EventDefinition<KeyConfigurationState>, KeyConfigurationEventName, handler: string][] = [
  [keyConfigurationSaved, 'saved', 'close-alerts-of-a-saved-key-configuration'],
  [keyConfigurationRemoved, 'removed', 'cancel-alerts-of-a-removed-key-configuration'],
  [keyConfigurationInvalidated, 'invalidated', 'tell-owners-that-the-key-is-invalid'],
  [keyConfigurationValidated, 'validated', 'tell-owners-that-the-key-is-valid'],
  [keyConfigurationUnreachable, 'became-unreachable', 'tell-owners-that-the-kms-is-unreachable'],
  [keyConfigurationReachable, 'became-reachable', 'tell-owners-that-the-kms-is-reachable'],
  [keyConfigurationAttentionNeeded, 'attention-needed', 'tell-owners-what-needs-attention'],
];

/** What this service consumes besides access. */
export const notificationConsumes: EventDefinition[] = [
  ...PROJECT_EVENTS,
  ...CLUSTER_EVENTS,
  clusterConcernRaised,
  ...KEY_CONFIGURATION_EVENTS.map(([definition]) => definition),
] as EventDefinition[];

/** On the same topics; nobody is told of them yet. */
export const notificationIgnores: EventDefinition[] = [
  ...keyConfigurationEvents.filter((definition) => KEY_CONFIGURATION_EVENTS.every(([told]) => told !== definition)),
  ...validityBreakerEvents,
] as EventDefinition[];

/** The handlers of {@link notificationConsumes}. All of them may see an event twice, or after a newer one. */
export function notificationHandlers(parts: {
  readonly projects: ProjectProjection;
  readonly clusters: ClusterProjection;
  readonly announcements: Announcements;
}): EventHandler[] {
  const { projects, clusters, announcements } = parts;
  return [
    ...PROJECT_EVENTS.map((definition) =>
      defineHandler(definition, 'remember-project', async (event, tx) => {
        await projects.remember(tx, event.data);
      }),
    ),
    ...CLUSTER_EVENTS.map((definition) =>
      defineHandler(definition, 'remember-cluster', async (event, tx) => {
        await clusters.remember(tx, event.data);
      }),
    ),
    defineHandler(clusterConcernRaised, 'tell-owners-about-a-concern', (event, tx) => announcements.ofConcern(tx, event)),
    ...KEY_CONFIGURATION_EVENTS.map(([definition, name, handler]) =>
      defineHandler(definition, handler, (event, tx) => announcements.ofKeyConfiguration(tx, name, event)),
    ),
  ];
}
