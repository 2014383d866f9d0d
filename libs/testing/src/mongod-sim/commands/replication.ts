import type { MongodServer } from '../server.js';
import type { CommandTable } from './command.js';
export function replicationCommands(_server: MongodServer): CommandTable {
  return {};
}
