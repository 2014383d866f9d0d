import {
  backupHealthEvents,
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
  snapshotEvents,
  snapshotProgressed,
  validityBreakerEvents,
  type EventDefinition,
} from '@atrest/contracts';
import { defineHandler, type EventHandler } from '@atrest/platform-messaging';
import { KEY_CONFIGURATION_EVENT_NAMES, type KeyConfigurationEventName } from '../alerts/alert.js';
import type { Announcements } from '../announcements.js';
import type { BackupAnnouncements } from '../backups/backup-announcements.js';
import { BACKUP_HEALTH_EVENT_NAMES, SNAPSHOT_EVENT_NAMES } from '../backups/backup-event-names.js';
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

const SNAPSHOT_EVENTS = snapshotEvents.filter((definition) => definition !== snapshotProgressed);

const nameOf = <Name extends string>({ type }: { readonly type: string }, names: readonly Name[]): Name => {
  const name = type.split('.').at(-2);
  const known = names.find((each) => each === name);
  if (known === undefined) throw new TypeError(`nobody says what follows from ${type}`);
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
  ...SNAPSHOT_EVENTS,
  ...backupHealthEvents,
] as EventDefinition[];

/** On the same topics, and of no interest here: how far a snapshot is, nobody is told. */
export const notificationIgnores: EventDefinition[] = [snapshotProgressed] as EventDefinition[];

/** The handlers of {@link notificationConsumes}. All of them may see an event twice, or after a newer one. */
export function notificationHandlers(parts: {
  readonly projects: ProjectProjection;
  readonly clusters: ClusterProjection;
  readonly announcements: Announcements;
  readonly incidents: Incidents;
  readonly backups: BackupAnnouncements;
}): EventHandler[] {
  const { projects, clusters, announcements, incidents, backups } = parts;
  return [
    ...PROJECT_EVENTS.map((definition) =>
      defineHandler(definition, 'remember-project', async (event, tx) => {
        await projects.remember(tx, event.data);
      }),
    ),
    ...CLUSTER_EVENTS.map((definition) =>
      defineHandler(definition, 'remember-cluster', async (event, tx) => {
        if ((await clusters.remember(tx, event.data)) === 'remembered') await backups.ofCluster(tx, event.data);
      }),
    ),
    defineHandler(clusterConcernRaised, 'tell-owners-about-a-concern', (event, tx) => announcements.ofConcern(tx, event)),
    defineHandler(clusterProcessEndedForKey, 'tell-owners-that-a-server-ended-for-its-key', (event, tx) =>
      announcements.ofProcessEndedForKey(tx, event),
    ),
    ...keyConfigurationEvents.map((definition) => {
      const name = nameOf(definition, KEY_CONFIGURATION_EVENT_NAMES);
      const handler = HANDLER_NAMES[name] ?? `tell-who-should-know-of-${name}`;
      return defineHandler(definition, handler, (event, tx) => announcements.ofKeyConfiguration(tx, name, event));
    }),
    ...validityBreakerEvents.map((definition) =>
      defineHandler(definition, 'tell-operators-that-shutdowns-are-held', (event, tx) => incidents.ofBreaker(tx, event)),
    ),
    ...SNAPSHOT_EVENTS.map((definition) => {
      const name = nameOf(definition, SNAPSHOT_EVENT_NAMES);
      return defineHandler(definition, 'tell-who-should-know-of-a-snapshot', (event, tx) => backups.ofSnapshot(tx, name, event));
    }),
    ...backupHealthEvents.map((definition) => {
      const name = nameOf(definition, BACKUP_HEALTH_EVENT_NAMES);
      return defineHandler(definition, 'tell-who-should-know-of-backups', (event, tx) => backups.ofHealth(tx, name, event));
    }),
  ];
}
