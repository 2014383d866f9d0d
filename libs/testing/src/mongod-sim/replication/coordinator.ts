import type { Doc } from '../bson-values.js';
import type { CommandContext } from '../commands/command.js';
import type { MongodServer } from '../server.js';
import type { OpTime } from './op-time.js';
export class ReplicationCoordinator {
  isPrimary = false;
  initialized = false;
  constructor(
    readonly server: MongodServer,
    readonly setName: string,
  ) {}
  recover(_unclean: boolean): void {}
  async start(): Promise<void> {}
  async beforeReady(): Promise<void> {}
  async stop(_context: string): Promise<void> {}
  async stepDownForStop(_waitMs: number, _force: boolean, _context: string): Promise<void> {}
  connectionLost(_member: string): void {}
  helloRole(primaryField: string): Doc {
    return { [primaryField]: false, secondary: false, info: 'Does not have a valid replica set config', isreplicaset: true };
  }
  async admit(_needs: 'read' | 'write', _context: CommandContext): Promise<void> {}
  async awaitWriteConcern(_opTime: OpTime, _concern: { w: number | string; j: boolean; wtimeoutMs: number }): Promise<Doc> {
    return {};
  }
}
