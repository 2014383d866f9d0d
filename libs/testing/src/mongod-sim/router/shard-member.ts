import type { MongodServer } from '../server.js';
export async function awaitConfigServer(_server: MongodServer): Promise<void> {}
