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
import { defineHandler, type EventHandler, type EventPublisher } from '@atrest/platform-messaging';
import { signalAfterCommit } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import type { AccessRoleRepository } from '../access-roles/access-role.repository.js';
import type { CheckedKeyRepository } from '../checked-key.repository.js';
import { CHANGED_CHANNEL } from '../encryption-at-rest.js';
import { removeConfiguration } from '../key-configuration.js';
import type { KeyConfigurationRepository } from '../key-configuration.repository.js';
import type { ProjectPolicyRepository } from '../project-policy/project-policy.repository.js';
import type { ClusterProjection } from './cluster-projection.js';
import type { MissingKeys } from './missing-keys.js';
import type { ProjectProjection } from './project-projection.js';

const projectEvents = [projectCreated, projectUpdated];
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

/** What this service consumes besides access. */
export const projectionConsumes: EventDefinition[] = [
  ...projectEvents,
  projectDeleted,
  ...clusterEvents,
  clusterProcessEndedForKey,
] as EventDefinition[];

/** On the same topics and of no interest here: a concern changes no cluster. */
export const projectionIgnores: EventDefinition[] = [clusterConcernRaised] as EventDefinition[];

export interface ProjectionParts {
  readonly projects: ProjectProjection;
  readonly clusters: ClusterProjection;
  readonly repository: KeyConfigurationRepository;
  readonly keys: CheckedKeyRepository;
  readonly policyRepository: ProjectPolicyRepository;
  readonly roles: AccessRoleRepository;
  readonly missingKeys: MissingKeys;
  readonly publisher: EventPublisher;
  readonly clock: Clock;
}

/** The handlers of {@link projectionConsumes}. All of them may see an event twice, or after a newer one. */
export function projectionHandlers({
  projects,
  clusters,
  repository,
  keys,
  policyRepository,
  roles,
  missingKeys,
  publisher,
  clock,
}: ProjectionParts): EventHandler[] {
  return [
    ...projectEvents.map((definition) =>
      defineHandler(definition, 'remember-project', async (event, tx) => {
        await projects.remember(tx, event.data);
      }),
    ),
    defineHandler(projectDeleted, 'remove-key-configurations-of-a-deleted-project', async (event, tx) => {
      // First the project's row: a PATCH that holds it finishes before, one that comes later finds the project deleted.
      await projects.remember(tx, event.data);
      await policyRepository.remove(tx, event.data.id);
      await roles.removeOfProject(tx, event.data.id);
      for (const configuration of await repository.findForUpdate(tx, event.data.id)) {
        const { publications } = removeConfiguration(configuration);
        await repository.remove(tx, configuration.id, configuration.revision);
        for (const { definition, data } of publications) await publisher.publish(tx, definition, data);
      }
    }),
    ...clusterEvents.map((definition) =>
      defineHandler(definition, 'remember-cluster', async (event, tx) => {
        if ((await clusters.remember(tx, event.data)) === 'remembered') await missingKeys.look(tx, event.data);
      }),
    ),
    // A server that ended for its key is a reason to look, and no verdict: what it saw may be its own trouble with its own key.
    defineHandler(clusterProcessEndedForKey, 'check-the-key-of-a-server-that-ended-for-it', async (event, tx) => {
      const { projectId, encryptionAtRestProvider: provider } = event.data.cluster;
      if (provider === 'NONE') return;
      const id = await repository.idOf(tx, projectId, provider);
      if (id === null) return;
      if ((await keys.makeDue(tx, id, clock.now())) === 'made-due') signalAfterCommit(tx, CHANGED_CHANNEL);
    }),
  ];
}
