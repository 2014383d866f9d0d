import type { Dispatcher } from '../commands/dispatcher.js';
import type { ClientConnection, WireServerHooks } from '../wire/server.js';
import type { ServerLog } from './log.js';

/** Runs what arrives on connections and logs their beginning and end. */
export function connectionHooks(log: ServerLog, dispatcher: Dispatcher, lost: (connection: ClientConnection) => void): WireServerHooks {
  const attr = (connection: ClientConnection, open: number) => ({
    remote: connection.remote,
    connectionId: connection.id,
    connectionCount: open,
  });
  return {
    handle: (request, connection) => dispatcher.handle(request, connection),
    accepted: (connection, open) => log.info('listener', 'NETWORK', 22943, 'Connection accepted', attr(connection, open)),
    ended: (connection, open) => {
      log.info(connection.context, 'NETWORK', 22944, 'Connection ended', attr(connection, open));
      lost(connection);
    },
    invalid: (connection, reason) => log.error(connection.context, 'NETWORK', 4615638, 'Invalid message, closing connection', { reason }),
  };
}
