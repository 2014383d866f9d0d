import { Int32, Long, Timestamp } from 'bson';
import { CommandError } from '../commands/command-error.js';
import { type Doc, numberOf, stringOf } from '../bson-values.js';
import { WireClient } from '../wire/client.js';
import { type Member, unreachable } from './member.js';
import { opTimeDocument, opTimeFrom } from './op-time.js';
import { type ReplicaSetConfig, isNewerConfig, parseConfig } from './replica-set-config.js';
import { STATE_NUMBERS, stateFromNumber } from './rules.js';
import type { SetState } from './set-state.js';

const CONTEXT = 'ReplCoord-0';

/** What the coordinator does with news that heartbeats bring. */
export interface HeartbeatHooks {
  /** Another member has a higher term. */
  learnTerm(term: number): void;
  /** A newer configuration was received. */
  install(config: ReplicaSetConfig): Promise<void>;
  /** The primary answered: no election is needed for now. */
  primaryAlive(): void;
  /** Positions or states of members changed. */
  progressed(): void;
}

/** Asks every other member every two seconds how it is, and answers those who ask. */
export class Heartbeats {
  readonly #set: SetState;
  readonly #hooks: HeartbeatHooks;
  #fetching = false;

  constructor(set: SetState, hooks: HeartbeatHooks) {
    this.#set = set;
    this.#hooks = hooks;
  }

  /** Asks everybody now. */
  start(): void {
    for (const { member } of this.#set.others()) this.beat(member);
  }

  stop(): void {
    for (const member of this.#set.members) clearTimeout(member.heartbeatTimer);
  }

  /** Asks one member now; the next question follows after the interval. */
  beat(member: Member): void {
    if (member.heartbeatRunning) {
      member.heartbeatAgain = true;
      return;
    }
    clearTimeout(member.heartbeatTimer);
    member.heartbeatRunning = true;
    void this.#ask(member).finally(() => {
      member.heartbeatRunning = false;
      if (this.#set.stopped || !this.#set.members.includes(member)) return;
      const delay = member.heartbeatAgain ? 0 : this.#set.server.timings.heartbeatMs;
      member.heartbeatAgain = false;
      member.heartbeatTimer = setTimeout(() => this.beat(member), delay);
    });
  }

  /** Answers a heartbeat. */
  answer(command: Doc): Doc {
    const set = this.#set;
    if (command['replSetHeartbeat'] !== set.setName) {
      throw new CommandError(
        93,
        `replica set names do not match, ours: ${set.setName}; remote node's: ${String(command['replSetHeartbeat'])}`,
      );
    }
    const from = stringOf(command['from']);
    const theirs = { version: numberOf(command['configVersion']) ?? -2, term: numberOf(command['configTerm']) ?? -1 };
    const term = numberOf(command['term']);
    if (term !== undefined && set.config !== undefined) this.#hooks.learnTerm(term);
    if (from !== undefined) this.#heardFrom(from, theirs, command);
    const config = set.config;
    return {
      set: set.setName,
      state: new Int32(STATE_NUMBERS[set.state]),
      v: new Int32(config?.version ?? -2),
      configTerm: Long.fromNumber(config?.term ?? -1),
      term: Long.fromNumber(set.term),
      primaryId: new Int32(set.primary === undefined ? -1 : (config?.members[set.primary]?.id ?? -1)),
      opTime: opTimeDocument(set.lastApplied),
      durableOpTime: opTimeDocument(set.durable),
      committedOpTime: opTimeDocument(set.committed),
      ...(set.state === 'PRIMARY' && set.electionTime !== undefined ? { electionTime: set.electionTime } : {}),
      ...(set.syncSource === '' ? {} : { syncingTo: set.syncSource }),
      ...(config !== undefined && isNewerConfig(config, theirs) ? { config: config.document } : {}),
    };
  }

  request(): Doc {
    const set = this.#set;
    return {
      replSetHeartbeat: set.setName,
      configVersion: new Int32(set.config?.version ?? -2),
      configTerm: Long.fromNumber(set.config?.term ?? -1),
      hbv: new Int32(1),
      from: set.me?.host ?? '',
      fromId: new Int32(set.me?.id ?? -1),
      term: Long.fromNumber(set.term),
      primaryId: new Int32(set.primary === undefined ? -1 : (set.config?.members[set.primary]?.id ?? -1)),
    };
  }

  #heardFrom(from: string, theirs: { version: number; term: number }, command: Doc): void {
    const set = this.#set;
    const index = set.memberByHost(from);
    if (set.config === undefined || (index === undefined && isNewerConfig(theirs, set.config))) {
      if (theirs.version > 0) void this.#fetchConfig(from);
      return;
    }
    const member = index === undefined ? undefined : set.members[index];
    if (member === undefined || index === set.self) return;
    member.lastHeartbeatReceived = new Date();
    const claimsPrimary = numberOf(command['primaryId']) === member.config.id;
    if (claimsPrimary && set.primary !== index) {
      set.server.log.info(CONTEXT, 'REPL', 2903000, 'Restarting heartbeats after learning of a new primary', {
        myPrimaryId: 'none',
        senderAndPrimaryId: member.config.id,
        senderTerm: set.term,
      });
      this.beat(member);
    } else if (!member.up) this.beat(member);
    else if (isNewerConfig(theirs, set.config)) {
      set.server.log.info(CONTEXT, 'REPL', 21401, 'Scheduling heartbeat to fetch a newer config', {
        configTerm: theirs.term,
        configVersion: theirs.version,
        senderHost: from,
      });
      this.beat(member);
    }
  }

  /** Gets the configuration from a member that is not in ours, or when we have none. */
  async #fetchConfig(from: string): Promise<void> {
    if (this.#fetching || this.#set.stopped) return;
    this.#fetching = true;
    const client = new WireClient(from);
    try {
      const reply = await client.command('admin', this.request(), this.#set.server.timings.heartbeatTimeoutMs);
      await this.#installFrom(reply);
    } catch (error) {
      const message = error instanceof Error ? error.message : 'unknown';
      this.#set.server.log.info(CONTEXT, 'REPL_HB', 23974, 'Heartbeat failed after max retries', {
        target: from,
        error: unreachable(message),
      });
    } finally {
      client.close();
      this.#fetching = false;
    }
  }

  async #installFrom(reply: Doc): Promise<void> {
    if (reply['config'] === undefined) return;
    const config = parseConfig(reply['config'], this.#set.setName);
    if (isNewerConfig(config, this.#set.config)) await this.#hooks.install(config);
  }

  async #ask(member: Member): Promise<void> {
    const timeout = this.#set.server.timings.heartbeatTimeoutMs;
    const begin = Date.now();
    try {
      let reply: Doc;
      try {
        reply = await member.heartbeats.command('admin', this.request(), timeout);
      } catch (error) {
        if (error instanceof CommandError || Date.now() - begin >= timeout) throw error;
        reply = await member.heartbeats.command('admin', this.request(), timeout);
      }
      if (this.#set.stopped || !this.#set.members.includes(member)) return;
      member.pingMs = Date.now() - begin;
      await this.#answered(member, reply);
    } catch (error) {
      if (!this.#set.stopped) this.#failed(member, error instanceof Error ? error.message : 'unknown');
    }
  }

  async #answered(member: Member, reply: Doc): Promise<void> {
    const set = this.#set;
    const index = set.members.indexOf(member);
    const state = stateFromNumber(numberOf(reply['state']));
    const now = Date.now();
    member.lastHeartbeat = new Date(now);
    member.lastHeardAt = now;
    member.message = '';
    if (!member.up) member.upSince = now;
    if (!member.up || member.state !== state) {
      set.server.log.info(CONTEXT, 'REPL', 21215, 'Member is in new state', { hostAndPort: member.config.host, newState: state });
    }
    member.up = true;
    member.state = state;
    member.configVersion = numberOf(reply['v']) ?? -2;
    member.configTerm = numberOf(reply['configTerm']) ?? -1;
    member.syncSource = stringOf(reply['syncingTo']) ?? '';
    if (reply['electionTime'] instanceof Timestamp) member.electionTime = reply['electionTime'];
    member.progressed(opTimeFrom(reply['opTime']), opTimeFrom(reply['durableOpTime']));
    set.server.writer.clock.advance(member.applied.ts);
    this.#hooks.learnTerm(numberOf(reply['term']) ?? 0);
    await this.#installFrom(reply);
    if (state === 'PRIMARY' && numberOf(reply['term']) === set.term && set.state !== 'PRIMARY') {
      set.setPrimary(index);
      set.learnCommitted(opTimeFrom(reply['committedOpTime']));
      this.#hooks.primaryAlive();
    } else if (set.primary === index && state !== 'PRIMARY') set.setPrimary(undefined);
    this.#hooks.progressed();
  }

  #failed(member: Member, message: string): void {
    const set = this.#set;
    const index = set.members.indexOf(member);
    member.message = message;
    if (member.up || member.state !== 'DOWN') {
      set.server.log.info(CONTEXT, 'REPL_HB', 23974, 'Heartbeat failed after max retries', {
        target: member.config.host,
        maxHeartbeatRetries: 2,
        error: unreachable(message),
      });
      set.server.log.info(CONTEXT, 'REPL', 21216, 'Member is now in state RS_DOWN', {
        hostAndPort: member.config.host,
        heartbeatMessage: message,
      });
    }
    member.up = false;
    member.state = 'DOWN';
    if (set.primary === index) set.setPrimary(undefined);
    this.#hooks.progressed();
  }
}
