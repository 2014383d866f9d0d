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
  projectCreated,
  projectDeleted,
  projectUpdated,
  type EventDefinition,
} from '@atrest/contracts';
import { defineHandler, type EventHandler } from '@atrest/platform-messaging';
import type { ClusterProjection } from './cluster-projection.js';
import type { ProjectProjection } from './project-projection.js';

const projectEvents = [projectCreated, projectUpdated, projectDeleted];
const clusterEvents = [
  clusterCreated,
  clusterUpdated,
  clusterDisablingStarted,
  clusterDisabled,
  clusterEnablingStarted,
  clusterEnabled,
  clusterDeletionStarted,
  clusterDeleted,
];

/** What this service consumes besides access and commands. */
export const projectionConsumes: EventDefinition[] = [...projectEvents, ...clusterEvents] as EventDefinition[];

/** On the same topics and of no interest here: neither changes a cluster. */
export const projectionIgnores: EventDefinition[] = [clusterConcernRaised, clusterProcessEndedForKey] as EventDefinition[];

/** The handlers of {@link projectionConsumes}. All of them may see an event twice, or after a newer one. */
export function projectionHandlers(parts: { readonly projects: ProjectProjection; readonly clusters: ClusterProjection }): EventHandler[] {
  return [
    ...projectEvents.map((definition) =>
      defineHandler(definition, 'remember-project', async (event, tx) => {
        await parts.projects.remember(tx, event.data);
      }),
    ),
    ...clusterEvents.map((definition) =>
      defineHandler(definition, 'remember-cluster', async (event, tx) => {
        await parts.clusters.remember(tx, event.data);
      }),
    ),
  ] as EventHandler[];
}
