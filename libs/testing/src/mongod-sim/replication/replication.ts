import type { Doc } from '../bson-values.js';
import type { CommandContext } from '../commands/command.js';
import type { OpTime } from './op-time.js';

/** How many members must have a write before it is acknowledged. */
export interface WriteConcern {
  w: number | string;
  j: boolean;
  wtimeoutMs: number;
}

/** How a primary gives its role up. */
export interface StepDownWish {
  /** How long to wait for a secondary that can take over. */
  waitMs: number;
  /** Step down without one when the wait is over. */
  force: boolean;
  /** How long not to seek election afterwards. */
  frozenMs: number;
  /** Name of the thread in the log. */
  context: string;
}

/** A replica set member as the rest of the server sees it. Methods reject with the error the client gets. */
export interface Replication {
  /** A configuration is in use. */
  readonly initialized: boolean;
  readonly isPrimary: boolean;
  /** Tells this process from another one behind the same address. */
  readonly instanceId: string;
  recover(unclean: boolean): void;
  start(): Promise<void>;
  stop(context: string): Promise<void>;
  /** The connection on which a member sent its heartbeats was closed. */
  connectionLost(host: string): void;
  /** The role part of `hello`. */
  helloRole(primaryField: string): Doc;
  /** Refuses a command that this member cannot run in its present state. */
  admit(needs: 'read' | 'write', context: CommandContext): Promise<void>;
  /** Waits as a write concern asks and returns the fields of the reply. */
  awaitWriteConcern(opTime: OpTime, concern: WriteConcern): Promise<Doc>;
  /** Waits until this member has what happened up to a time. Rejects with MaxTimeMSExpired (50). */
  awaitTime(time: unknown, waitMs?: number): Promise<void>;
  status(): Doc;
  configDocument(): Doc;
  initiate(config: unknown): Promise<Doc>;
  reconfigure(config: unknown, force: boolean): Promise<Doc>;
  stepDown(wish: StepDownWish): Promise<void>;
  stepUp(skipDryRun: boolean): Promise<void>;
  /** Seeks no election for this long; 0 ends that. */
  freeze(seconds: number): Doc;
  answerHeartbeat(command: Doc): Doc;
  answerVoteRequest(command: Doc): Promise<Doc>;
  updatePosition(command: Doc): Doc;
}
