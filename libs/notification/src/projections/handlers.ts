import {
  clusterConcernRaised,
  clusterCreated,
  clusterDeleted,
  clusterDeletionStarted,
  clusterDisabled,
  clusterDisablingStarted,
  clusterEnabled,
  clusterEnablingStarted,
  clusterProcessEndedForKey,
  clusterUpdated,
  keyConfigurationEvents,
  projectCreated,
  projectDeleted,
  projectUpdated,
  validityBreakerEvents,
  type EventDefinition,
  type KeyConfigurationState,
} from '@atrest/contracts';
import { defineHandler, type EventHandler } from '@atrest/platform-messaging';
import { KEY_CONFIGURATION_EVENT_NAMES, type KeyConfigurationEventName } from '../alerts/alert.js';
import type { Announcements } from '../announcements.js';
import type { Incidents } from '../incidents/incidents.js';
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
/** Names of handlers are keys of their retries and dead letters: those that exist stay. */
const HANDLER_NAMES: Partial<Readonly<Record<KeyConfigurationEventName, string>>> = {
  saved: 'close-alerts-of-a-saved-key-configuration',
  removed: 'cancel-alerts-of-a-removed-key-configuration',
  invalidated: 'tell-owners-that-the-key-is-invalid',
  validated: 'tell-owners-that-the-key-is-valid',
  'became-unreachable': 'tell-owners-that-the-kms-is-unreachable',
  'became-reachable': 'tell-owners-that-the-kms-is-reachable',
  'attention-needed': 'tell-owners-what-needs-attention',
};

const nameOf = (definition: EventDefinition<KeyConfigurationState>): KeyConfigurationEventName => {
  const name = definition.type.split('.').at(-2);
  const known = KEY_CONFIGURATION_EVENT_NAMES.find((each) => each === name);
  if (known === undefined) throw new TypeError(`nobody says what follows from ${definition.type}`);
  return known;
};

/** What this service consumes besides access. */
export const notificationConsumes: EventDefinition[] = [
  ...PROJECT_EVENTS,
  ...CLUSTER_EVENTS,
  clusterConcernRaised,
  clusterProcessEndedForKey,
  ...keyConfigurationEvents,
  ...validityBreakerEvents,
] as EventDefinition[];

/** The handlers of {@link notificationConsumes}. All of them may see an event twice, or after a newer one. */
export function notificationHandlers(parts: {
  readonly projects: ProjectProjection;
  readonly clusters: ClusterProjection;
  readonly announcements: Announcements;
  readonly incidents: Incidents;
}): EventHandler[] {
  const { projects, clusters, announcements, incidents } = parts;
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
    defineHandler(clusterProcessEndedForKey, 'tell-owners-that-a-server-ended-for-its-key', (event, tx) =>
      announcements.ofProcessEndedForKey(tx, event),
    ),
    ...keyConfigurationEvents.map((definition) => {
      const name = nameOf(definition);
      const handler = HANDLER_NAMES[name] ?? `tell-who-should-know-of-${name}`;
      return defineHandler(definition, handler, (event, tx) => announcements.ofKeyConfiguration(tx, name, event));
    }),
    ...validityBreakerEvents.map((definition) =>
      defineHandler(definition, 'tell-operators-that-shutdowns-are-held', (event, tx) => incidents.ofBreaker(tx, event)),
    ),
  ];
}
