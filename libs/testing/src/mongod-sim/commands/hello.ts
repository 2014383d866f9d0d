import { type Doc, isDocument, numberOf, truthy } from '../bson-values.js';
import { MAX_WIRE_VERSION } from '../process/identity.js';
import type { ServerBase } from '../server.js';
import type { Answer } from '../wire/server.js';
import { MAX_MESSAGE_BYTES } from '../wire/codec.js';
import { CommandError } from './command-error.js';
import type { CommandContext, CommandTable } from './command.js';

/** The role part of a hello reply. `primaryField` is `ismaster` or `isWritablePrimary`. */
export type HelloRole = (primaryField: string, context: CommandContext) => Doc;

/** `hello`, `isMaster` and `ismaster`, awaitable and streamed. */
export function helloCommands(server: ServerBase, role: HelloRole): CommandTable {
  const run = async (context: CommandContext): Promise<Answer> => {
    const { command, connection } = context;
    greet(server, context);
    const seen = command['topologyVersion'];
    const wait = numberOf(command['maxAwaitTimeMS']);
    if ((seen === undefined) !== (wait === undefined)) {
      throw new CommandError(2, "A request with 'topologyVersion' must include 'maxAwaitTimeMS'");
    }
    if (wait !== undefined && server.topology.isCurrent(seen)) await server.topology.changed(wait, connection.whenClosed());
    if (server.stopping) throw new CommandError(91, 'Replication is being shut down', { topologyVersion: server.topology.toDocument() });
    const legacy = context.name !== 'hello';
    const document: Doc = {
      ...(legacy && truthy(command['helloOk']) ? { helloOk: true } : {}),
      topologyVersion: server.topology.toDocument(),
      ...role(legacy ? 'ismaster' : 'isWritablePrimary', context),
      maxBsonObjectSize: 16 * 1024 * 1024,
      maxMessageSizeBytes: MAX_MESSAGE_BYTES,
      maxWriteBatchSize: 100_000,
      localTime: new Date(),
      logicalSessionTimeoutMinutes: 30,
      connectionId: connection.id,
      minWireVersion: 0,
      maxWireVersion: MAX_WIRE_VERSION,
      readOnly: false,
    };
    if (!context.exhaustAllowed || wait === undefined) return { document };
    return { document, again: { ...command, topologyVersion: document['topologyVersion'] } };
  };
  return { hello: { run }, isMaster: { run }, ismaster: { run } };
}

function greet(server: ServerBase, { command, connection }: CommandContext): void {
  const client = command['client'];
  if (connection.greeted || !isDocument(client)) return;
  connection.greeted = true;
  server.log.info(connection.context, 'NETWORK', 51800, 'client metadata', {
    remote: connection.remote,
    client: connection.context,
    doc: client,
  });
}
