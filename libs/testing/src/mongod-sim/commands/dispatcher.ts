import type { Doc } from '../bson-values.js';
import { isDocument } from '../bson-values.js';
import type { ServerBase } from '../server.js';
import type { WireRequest } from '../wire/codec.js';
import type { Answer, ClientConnection } from '../wire/server.js';
import { CommandError } from './command-error.js';
import type { Command, CommandContext, CommandTable } from './command.js';

/** What a kind of server adds to the common way of running a command. */
export interface DispatcherHooks {
  /** Throws a {@link CommandError} when this member may not run the command now. */
  admit(command: Command, context: CommandContext): Promise<void> | void;
  /** Fields of every reply (`$clusterTime`, `operationTime`). */
  replyFields(): Doc;
  /** The error means that the process cannot go on. */
  fatal(error: unknown): void;
}

/** Finds and runs commands and turns errors into replies. */
export class Dispatcher {
  readonly #server: ServerBase;
  readonly #table: Map<string, Command>;
  readonly #hooks: DispatcherHooks;

  constructor(server: ServerBase, tables: CommandTable[], hooks: DispatcherHooks) {
    this.#server = server;
    this.#table = new Map(tables.flatMap((table) => Object.entries(table)));
    this.#hooks = hooks;
  }

  names(): string[] {
    return [...this.#table.keys()].sort();
  }

  async handle(request: WireRequest, connection: ClientConnection): Promise<Answer> {
    await this.#server.faults.whileSet('hang', connection.whenClosed());
    const name = Object.keys(request.command)[0] ?? '';
    try {
      const answer = await this.#run(name, request, connection);
      // A reply that another server made is passed on as it is.
      if (answer.document !== undefined && !('ok' in answer.document))
        answer.document = { ...answer.document, ok: 1, ...this.#hooks.replyFields() };
      return answer;
    } catch (error) {
      if (!(error instanceof CommandError)) this.#hooks.fatal(error);
      const reply = error instanceof CommandError ? error.toReply() : new CommandError(8, String(error)).toReply();
      return { document: { ...reply, ...this.#hooks.replyFields() } };
    }
  }

  async #run(name: string, request: WireRequest, connection: ClientConnection): Promise<Answer> {
    const command = this.#table.get(name);
    if (command === undefined) throw new CommandError(59, `no such command: '${name}'`);
    if (command.adminOnly === true && request.database !== 'admin') {
      throw new CommandError(13, `${name} may only be run against the admin database.`);
    }
    const failure = this.#server.faults.failureOf(name);
    if (failure !== undefined) throw new CommandError(failure.code, failure.errmsg);
    const context: CommandContext = {
      name,
      db: request.database,
      command: request.command,
      connection,
      secondaryOk: secondaryOk(request),
      exhaustAllowed: request.exhaustAllowed,
    };
    await this.#hooks.admit(command, context);
    const result = await command.run(context);
    return isAnswer(result) ? result : { document: result };
  }
}

function isAnswer(result: Doc | Answer): result is Answer {
  return 'document' in result && !('ok' in result) && (result.document === undefined || isDocument(result.document));
}

function secondaryOk(request: WireRequest): boolean {
  if (request.form === 'query') return true;
  const preference = request.command['$readPreference'];
  return isDocument(preference) && preference['mode'] !== undefined && preference['mode'] !== 'primary';
}
