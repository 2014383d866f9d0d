import { randomBytes } from 'node:crypto';
import { CommandError } from '../commands/command-error.js';
import type { CommandContext } from '../commands/command.js';
import { type Doc, isDocument, numberOf } from '../bson-values.js';
import { Timestamp } from 'bson';
import { maxTimeMs } from '../commands/command-options.js';
import type { MongodServer } from '../server.js';
import { WireClient, splitHost } from '../wire/client.js';
import { Elections } from './elections.js';
import { Heartbeats } from './heartbeats.js';
import { type Initiator, initiate, reconfigure } from './initiate.js';
import { recoverConsistency } from './initial-sync.js';
import { OplogFollower } from './oplog-follower.js';
import { type OpTime, compareOpTimes, opTimeDocument, opTimeFrom } from './op-time.js';
import { PrimaryRole } from './primary-role.js';
import { type ReplicaSetConfig, isNewerConfig, parseConfig } from './replica-set-config.js';
import type { Replication, StepDownWish, WriteConcern } from './replication.js';
import { stopReplicationLines } from './replication-lines.js';
import { SetState } from './set-state.js';
import { helloRole, setStatus } from './status.js';
import { WriteWaiters } from './write-waiters.js';

const CONTEXT = 'ReplCoord-0';
const CONFIG_NS = 'local.system.replset';
const ROLLBACK_ID_NS = 'local.system.rollback.id';
const CLUSTER_TIME_WAIT_MS = 10_000;
const IS_SELF_TIMEOUT_MS = 10_000;

/** One member of a replica set: its configuration, its role, its elections and its oplog. */
export class ReplicationCoordinator implements Replication, Initiator {
  readonly set: SetState;
  readonly heartbeats: Heartbeats;
  readonly elections: Elections;
  readonly primary: PrimaryRole;
  /** Answers `_isSelf`: tells this process from another one behind the same address. */
  readonly instanceId = randomBytes(12).toString('hex');
  readonly #server: MongodServer;
  readonly #waiters: WriteWaiters;
  readonly #follower: OplogFollower;
  #installing: Promise<void> = Promise.resolve();
  #reporting = false;
  #reportAgain = false;

  constructor(server: MongodServer, setName: string) {
    this.#server = server;
    this.set = new SetState(server, setName);
    this.#waiters = new WriteWaiters(this.set);
    const learnTerm = (term: number): void => this.#learnTerm(term);
    this.heartbeats = new Heartbeats(this.set, {
      learnTerm,
      install: (config) => this.install(config),
      primaryAlive: () => this.elections.postpone(),
      progressed: () => this.#progressed(),
    });
    this.elections = new Elections(this.set, { learnTerm, won: (election) => this.primary.assume(election) });
    this.primary = new PrimaryRole(this.set, {
      persistConfig: (config) => this.#persist(config),
      announce: () => this.heartbeats.start(),
      steppedDown: () => {
        this.#waiters.abort();
        this.elections.postpone();
      },
    });
    this.#follower = new OplogFollower(this.set, () => void this.#report());
  }

  get isPrimary(): boolean {
    return this.set.state === 'PRIMARY';
  }

  get initialized(): boolean {
    return this.set.config !== undefined;
  }

  /** Reads what earlier runs left and logs the recovery of the oplog. */
  recover(unclean: boolean): void {
    const { log, engine, writer } = this.#server;
    const context = 'initandlisten';
    const voted = this.elections.recover();
    if (!voted) log.info(context, 'REPL', 21311, 'Did not find local initialized voted for document at startup');
    this.set.term = Math.max(0, this.set.vote.term);
    const rollbackId = numberOf(engine.collection(ROLLBACK_ID_NS)?.get('rollbackId')?.['rollbackId']) ?? 1;
    log.info(context, 'REPL', 21529, 'Initializing rollback ID', { rbid: rollbackId });
    const rbid = unclean ? rollbackId + 1 : rollbackId;
    if (unclean) {
      log.info(context, 'REPL', 501401, 'Incrementing the rollback ID after unclean shutdown');
      log.info(context, 'REPL', 21532, 'Incremented the rollback ID', { rbid });
    }
    writer.write([{ op: 'replace', ns: ROLLBACK_ID_NS, doc: { _id: 'rollbackId', rollbackId: rbid } }]);
    recoverConsistency(this.set);
    this.set.durable = this.set.lastApplied;
    const stored = engine.collection(CONFIG_NS)?.get(this.set.setName);
    if (engine.oplog.length > 0) {
      const ts = this.set.lastApplied.ts;
      log.info(context, 'REPL', 21544, 'Recovering from stable timestamp', {
        stableTimestamp: ts,
        topOfOplog: opTimeDocument(this.set.lastApplied),
      });
      log.info(context, 'REPL', 21545, 'Starting recovery oplog application at the stable timestamp', { stableTimestamp: ts });
      log.info(context, 'REPL', 21536, 'Completed oplog application for recovery', { numOpsApplied: 0, numBatches: 0 });
    }
    if (stored === undefined) log.info(context, 'REPL', 21313, 'Did not find local replica set configuration document at startup');
    log.info(context, 'REPL', 40440, 'Starting the TopologyVersionObserver');
    log.info('TopologyVersionObserver', 'REPL', 40445, 'Started TopologyVersionObserver');
  }

  /** Takes the stored configuration into use and begins to take part. Called when the server listens. */
  async start(): Promise<void> {
    this.#follower.start();
    this.primary.start();
    const stored = this.#server.engine.collection(CONFIG_NS)?.documents()[0];
    if (stored === undefined) return;
    const config = parseConfig(stored, this.set.setName);
    this.set.term = Math.max(this.set.term, config.term);
    await this.install(config, { persist: false });
  }

  /** Ends the part this member takes; others see it answer until shortly before it is gone. */
  async stop(context: string): Promise<void> {
    const { log, timings } = this.#server;
    await stopReplicationLines(log, context, async () => {
      if (this.set.config !== undefined) await new Promise((resolve) => setTimeout(resolve, timings.memberStopMs));
      this.set.stopped = true;
      this.elections.stop();
      this.primary.stop();
      this.heartbeats.stop();
      this.#waiters.abort();
      for (const member of this.set.members) member.close();
      this.#server.engine.oplog.wake();
      await this.#follower.stop();
    });
  }

  /** The connection on which a member sent its heartbeats was closed: look at once whether it is still there. */
  connectionLost(host: string): void {
    const index = this.set.memberByHost(host);
    const member = index === undefined ? undefined : this.set.members[index];
    if (member !== undefined && index !== this.set.self && !this.set.stopped) this.heartbeats.beat(member);
  }

  helloRole(primaryField: string): Doc {
    return helloRole(this.set, primaryField);
  }

  status(): Doc {
    this.requireConfig();
    return setStatus(this.set);
  }

  configDocument(): Doc {
    return this.requireConfig().document;
  }

  /** The configuration in use. Throws NotYetInitialized (94). */
  requireConfig(): ReplicaSetConfig {
    if (this.set.config === undefined) throw new CommandError(94, 'no replset config has been received');
    return this.set.config;
  }

  initiate(config: unknown): Promise<Doc> {
    return initiate(this.#server, this, config);
  }

  reconfigure(config: unknown, force: boolean): Promise<Doc> {
    return reconfigure(this, config, force);
  }

  async stepDown(wish: StepDownWish): Promise<void> {
    this.requireConfig();
    await this.primary.stepDown(wish);
  }

  async stepUp(skipDryRun: boolean): Promise<void> {
    this.requireConfig();
    await this.elections.stepUp(skipDryRun);
  }

  freeze(seconds: number): Doc {
    this.requireConfig();
    if (this.isPrimary) throw new CommandError(95, 'cannot freeze node when primary or running for election. state: Primary');
    this.set.frozenUntil = seconds === 0 ? 0 : Date.now() + seconds * 1000;
    return seconds === 0 ? { info: 'unfreezing' } : {};
  }

  answerHeartbeat(command: Doc): Doc {
    return this.heartbeats.answer(command);
  }

  answerVoteRequest(command: Doc): Promise<Doc> {
    return this.elections.answer(command);
  }

  /** Refuses a command that this member cannot run in its present state. */
  async admit(needs: 'read' | 'write', context: CommandContext): Promise<void> {
    if (context.db === 'local') return;
    const { set } = this;
    const extra = { topologyVersion: this.#server.topology.toDocument() };
    if (needs === 'write') {
      if (!set.writable) throw new CommandError(10107, 'not primary', extra);
      return;
    }
    if (set.state === 'PRIMARY' && set.writable) return this.#awaitClusterTime(context.command);
    if (!context.secondaryOk) throw new CommandError(13435, 'not primary and secondaryOk=false', extra);
    if (set.state !== 'SECONDARY' && set.state !== 'PRIMARY') {
      throw new CommandError(13436, 'node is not in primary or recovering state', extra);
    }
    return this.#awaitClusterTime(context.command);
  }

  /** Waits as a write concern asks and returns the fields of the reply. */
  async awaitWriteConcern(opTime: OpTime, concern: WriteConcern): Promise<Doc> {
    const writeConcernError = await this.#waiters.wait(opTime, concern);
    return {
      ...(this.set.electionId === undefined ? {} : { electionId: this.set.electionId }),
      opTime: opTimeDocument(opTime),
      ...(writeConcernError === undefined ? {} : { writeConcernError }),
    };
  }

  /** A secondary reports how far it has come. */
  updatePosition(command: Doc): Doc {
    this.#learnTerm(numberOf(command['term']) ?? 0);
    const optimes = Array.isArray(command['optimes']) ? (command['optimes'] as Doc[]) : [];
    for (const entry of optimes) {
      const index = this.set.config?.members.findIndex((member) => member.id === numberOf(entry['memberId'])) ?? -1;
      const member = this.set.members[index];
      if (member === undefined || index === this.set.self) continue;
      member.lastHeardAt = Date.now();
      member.progressed(opTimeFrom(entry['appliedOpTime']), opTimeFrom(entry['durableOpTime']));
    }
    this.#progressed();
    return {};
  }

  /** Uses a configuration, one at a time. An older one than ours is ignored. */
  install(config: ReplicaSetConfig, options: { persist: boolean } = { persist: true }): Promise<void> {
    const next = this.#installing.then(() => this.#install(config, options.persist));
    this.#installing = next.catch(() => undefined);
    return next;
  }

  /** Index of the member that is this process, or -1. Only members with our port can be it; whether an unknown host is, that host is asked. */
  async findSelf(config: ReplicaSetConfig): Promise<number> {
    const known = config.members.findIndex((member) => member.host === this.set.me?.host);
    if (known >= 0) return known;
    for (const [index, member] of config.members.entries()) {
      const { host, port } = splitHost(member.host);
      if (port !== this.#server.options.port) continue;
      if (this.#listensOn(host) || (await this.#answersAsThis(member.host))) return index;
    }
    return -1;
  }

  /** With our port, a loopback address that we listen on is no other process. Several processes may share a port on several addresses. */
  #listensOn(host: string): boolean {
    const { addresses } = this.#server.options;
    const address = host === 'localhost' ? '127.0.0.1' : host;
    return address.startsWith('127.') && (addresses.includes(address) || addresses.includes('0.0.0.0'));
  }

  async #answersAsThis(host: string): Promise<boolean> {
    const client = new WireClient(host);
    try {
      const reply = await client.command('admin', { _isSelf: 1 }, IS_SELF_TIMEOUT_MS);
      return reply['id'] === this.instanceId;
    } catch (error) {
      this.#server.log.info(CONTEXT, 'NETWORK', 4834700, 'isSelf could not connect via connectSocketOnly', {
        hostAndPort: host,
        error: error instanceof Error ? error.message : 'unknown',
      });
      return false;
    } finally {
      client.close();
    }
  }

  async #install(config: ReplicaSetConfig, persist: boolean): Promise<void> {
    const { set } = this;
    if (set.stopped || !isNewerConfig(config, set.config)) return;
    const self = await this.findSelf(config);
    if (set.stopped) return;
    if (persist) await this.#persist(config);
    const first = set.config === undefined;
    set.useConfig(config, self);
    const { log } = this.#server;
    log.info(CONTEXT, 'REPL', 21392, 'New replica set config in use', { config: config.document });
    if (self < 0) {
      log.info(CONTEXT, 'REPL', 21394, 'This node is not a member of the config');
      set.setState('REMOVED', CONTEXT);
      return;
    }
    log.info(CONTEXT, 'REPL', 21393, 'Found self in config', { hostAndPort: set.me?.host });
    if (first || set.state === 'REMOVED') this.#join();
    else this.elections.postpone(); // By the timeout of the new configuration.
    this.heartbeats.start();
  }

  #join(): void {
    const { set } = this;
    if (set.me?.arbiterOnly === true) {
      set.setState('ARBITER', CONTEXT);
      return;
    }
    set.setState('STARTUP2', CONTEXT);
    this.#server.log.info(CONTEXT, 'REPL', 21306, 'Starting replication storage threads');
    const hasData = this.#server.engine.oplog.length > 0;
    if (hasData) {
      set.setState('RECOVERING', CONTEXT);
      this.#server.log.info(CONTEXT, 'REPL', 21299, 'Starting replication fetcher thread');
      this.#server.log.info(CONTEXT, 'REPL', 21300, 'Starting replication applier thread');
      this.#server.log.info(CONTEXT, 'REPL', 21301, 'Starting replication reporter thread');
      if (compareOpTimes(set.lastApplied, set.consistentFrom) >= 0) set.setState('SECONDARY', 'OplogApplier-0');
    }
    this.elections.postpone();
    if (hasData) this.elections.electAloneIfPossible();
  }

  async #persist(config: ReplicaSetConfig): Promise<void> {
    this.#server.writer.write([{ op: 'replace', ns: CONFIG_NS, doc: config.document }]);
    await this.#server.engine.sync();
  }

  #learnTerm(term: number): void {
    if (term <= this.set.term) return;
    this.set.term = term;
    if (this.set.state === 'PRIMARY') {
      this.#server.log.info(CONTEXT, 'REPL', 21402, 'Stepping down, because a new term has begun', { term });
      this.primary.becomeSecondary(CONTEXT);
    }
  }

  #progressed(): void {
    this.set.advanceCommitted();
    this.#waiters.check();
    this.primary.progressed();
  }

  /** Tells the primary how far this member has come. */
  async #report(): Promise<void> {
    if (this.#reporting) {
      this.#reportAgain = true;
      return;
    }
    this.#reporting = true;
    do {
      this.#reportAgain = false;
      const { set } = this;
      const primary = set.primary === undefined ? undefined : set.members[set.primary];
      if (primary === undefined || set.primary === set.self || set.me === undefined) break;
      const position = { memberId: set.me.id, appliedOpTime: opTimeDocument(set.lastApplied), durableOpTime: opTimeDocument(set.durable) };
      try {
        await primary.control.command('admin', { replSetUpdatePosition: 1, optimes: [position], term: set.term }, 5000);
      } catch {
        break; // The next heartbeat carries the position too.
      }
    } while (this.#reportAgain && !this.set.stopped);
    this.#reporting = false;
  }

  /** Waits until this member has what happened up to a time; a primary's history moves on to it. */
  async awaitTime(time: unknown, waitMs = CLUSTER_TIME_WAIT_MS): Promise<void> {
    if (!(time instanceof Timestamp)) return;
    const { writer, engine, fsyncLock } = this.#server;
    const until = Date.now() + waitMs;
    while (this.set.lastApplied.ts.lessThan(time)) {
      const left = until - Date.now();
      if (left <= 0 || !(await fsyncLock.released(left))) throw new CommandError(50, 'operation exceeded time limit');
      if (this.set.writable) {
        // The time was learnt from another shard, or from a client that will read by it.
        writer.clock.advance(time);
        writer.write([{ op: 'noop', message: { msg: 'advance to cluster time' } }]);
      } else await engine.oplog.changed(left);
    }
  }

  /** Causal consistency: waits until this member has what the client has seen. */
  async #awaitClusterTime(command: Doc): Promise<void> {
    const concern = command['readConcern'];
    if (isDocument(concern)) await this.awaitTime(concern['afterClusterTime'], maxTimeMs(command));
  }
}
