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
} from '@atrest/contracts';
import { defineHandler, type EventHandler } from '@atrest/platform-messaging';
import type { ClusterFollower } from '../schedule/cluster-follower.js';
import type { ClusterProjection } from './cluster-projection.js';
import type { KeyConfigurationProjection } from './key-configuration-projection.js';
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

/** What this service consumes besides access and tasks. */
export const projectionConsumes: EventDefinition[] = [...projectEvents, ...clusterEvents, ...keyConfigurationEvents] as EventDefinition[];

/** On the same topics and of no interest here: none changes a cluster or a key configuration. */
export const projectionIgnores: EventDefinition[] = [
  clusterConcernRaised,
  clusterProcessEndedForKey,
  ...validityBreakerEvents,
] as EventDefinition[];

export interface ProjectionParts {
  readonly projects: ProjectProjection;
  readonly clusters: ClusterProjection;
  readonly keyConfigurations: KeyConfigurationProjection;
  readonly follower: ClusterFollower;
}

/** The handlers of {@link projectionConsumes}. All of them may see an event twice, or after a newer one. */
export function projectionHandlers({ projects, clusters, keyConfigurations, follower }: ProjectionParts): EventHandler[] {
  return [
    ...projectEvents.map((definition) =>
      defineHandler(definition, 'remember-project', async (event, tx) => {
        await projects.remember(tx, event.data);
      }),
    ),
    ...clusterEvents.map((definition) =>
      defineHandler(definition, 'remember-cluster', async (event, tx) => {
        if ((await clusters.remember(tx, event.data)) === 'remembered') await follower.follow(tx, event.data.id);
      }),
    ),
    ...keyConfigurationEvents.map((definition) =>
      defineHandler(definition, 'remember-key-configuration', async (event, tx) => {
        const remembered = await keyConfigurations.remember(tx, event.data);
        if (remembered === 'remembered' && event.data.enabled) await follower.keyConfigurationSaved(tx, event.data.projectId);
      }),
    ),
  ] as EventHandler[];
}
