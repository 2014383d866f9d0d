import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** Hands every connection of a port, on all addresses, to a port of the loopback. */
export async function forward(port: number, loopbackPort: () => number): Promise<Server> {
  const server = createServer((client: Socket) => {
    const behind = connect(loopbackPort(), '127.0.0.1');
    const end = (): void => {
      client.destroy();
      behind.destroy();
    };
    client.on('error', end).on('close', end);
    behind.on('error', end).on('close', end);
    client.pipe(behind).pipe(client);
  });
  server.listen(port, '0.0.0.0');
  await once(server, 'listening');
  return server;
}
