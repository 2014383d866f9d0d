import type { CommandDefinition } from './command.js';
import { restoreCommandRequested } from './restore-command.js';

export { defineCommand, type CommandDefinition } from './command.js';

/** Every command of other teams, by its type: the source of the documents about what may be sent to Atrest. */
export const commandDefinitions: ReadonlyMap<string, CommandDefinition> = new Map(
  [restoreCommandRequested].map((definition) => [definition.type, definition]),
);
