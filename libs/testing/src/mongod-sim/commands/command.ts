import type { Doc } from '../bson-values.js';
import type { Answer, ClientConnection } from '../wire/server.js';

/** One command as it arrived. */
export interface CommandContext {
  /** The command's name as sent. */
  name: string;
  db: string;
  command: Doc;
  connection: ClientConnection;
  /** The client takes data from a member that is not the primary. */
  secondaryOk: boolean;
  /** The request is a streaming one (exhaust). */
  exhaustAllowed: boolean;
}

/** A command of the server. */
export interface Command {
  /** Runs on the database `admin` only. */
  adminOnly?: boolean;
  /** Which member may run it: any; one that may be read from; only a primary that takes writes. */
  needs?: 'any' | 'read' | 'write';
  run(context: CommandContext): Promise<Doc | Answer> | Doc | Answer;
}

export type CommandTable = Record<string, Command>;
