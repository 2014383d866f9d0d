import type { EventDefinition } from '../event.js';
import * as access from './access.js';
import * as agentTask from './agent-task.js';
import * as backupJob from './backup-job.js';
import * as cluster from './cluster.js';
import * as keyAccess from './key-access.js';
import * as keyConfiguration from './key-configuration.js';
import * as notification from './notification.js';
import * as project from './project.js';
import * as restoreCommand from './restore-command.js';
import * as snapshot from './snapshot.js';

const isDefinition = (value: unknown): value is EventDefinition =>
  typeof value === 'object' && value !== null && 'topic' in value && 'subjectOf' in value;

/** Every event of Atrest by its type: the source of the AsyncAPI document and of the transport's checks. */
export const eventDefinitions: ReadonlyMap<string, EventDefinition> = new Map(
  [access, agentTask, backupJob, cluster, keyAccess, keyConfiguration, notification, project, restoreCommand, snapshot]
    .flatMap((module) => Object.values(module) as unknown[])
    .filter(isDefinition)
    .map((definition) => [definition.type, definition]),
);
