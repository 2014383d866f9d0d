import type { Launch } from '../process/run.js';
export class Mongos {
  constructor(readonly launch: Launch) {}
  async start(): Promise<void> {}
}
