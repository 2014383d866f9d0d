import type { EventDefinition } from '../event.js';
import * as access from './access.js';
import * as cluster from './cluster.js';
import * as keyConfiguration from './key-configuration.js';
import * as notification from './notification.js';
import * as project from './project.js';
import * as restoreCommand from './restore-command.js';

const isDefinition = (value: unknown): value is EventDefinition =>
  typeof value === 'object' && value !== null && 'topic' in value && 'subjectOf' in value;

/** Every event of Atrest by its type: the source of the AsyncAPI document and of the transport's checks. */
export const eventDefinitions: ReadonlyMap<string, EventDefinition> = new Map(
  [access, cluster, keyConfiguration, notification, project, restoreCommand]
    .flatMap((module) => Object.values(module) as unknown[])
    .filter(isDefinition)
    .map((definition) => [definition.type, definition]),
);
