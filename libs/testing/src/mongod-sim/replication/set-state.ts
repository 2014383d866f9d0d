import { ObjectId, type Timestamp } from 'bson';
import type { MongodServer } from '../server.js';
import { Member } from './member.js';
import { NO_OP_TIME, type OpTime, compareOpTimes } from './op-time.js';
import type { ConfigMember, ReplicaSetConfig } from './replica-set-config.js';
import { type MemberState, type Progress, majorityOf, majorityOpTime } from './rules.js';

/** Facts about the last election this member won. */
export interface WonElection {
  reason: 'electionTimeout' | 'stepUpRequest' | 'stepUpRequestSkipDryRun';
  date: Date;
  term: number;
  seenAtElection: OpTime;
  committedAtElection: OpTime;
  newTermStart: Date;
}

/** Everything one member knows of its replica set. Other parts of the folder read and change it. */
export class SetState {
  readonly server: MongodServer;
  readonly setName: string;
  config: ReplicaSetConfig | undefined;
  /** Index of this member in the configuration; -1 when it is not in it. */
  self = -1;
  members: Member[] = [];
  state: MemberState = 'STARTUP';
  term = 0;
  primary: number | undefined;
  /** A primary that has written the first entry of its term and takes writes. */
  writable = false;
  committed: OpTime = NO_OP_TIME;
  durable: OpTime = NO_OP_TIME;
  vote = { term: -1, candidateIndex: -1 };
  /** No election is sought before this time, in milliseconds. */
  frozenUntil = 0;
  electionId: ObjectId | undefined;
  electionTime: Timestamp | undefined;
  won: WonElection | undefined;
  /** Data is consistent from this optime on (initial sync copied while writes went on). */
  consistentFrom: OpTime = NO_OP_TIME;
  syncSource = '';
  stopped = false;
  readonly #listeners = new Set<() => void>();

  constructor(server: MongodServer, setName: string) {
    this.server = server;
    this.setName = setName;
  }

  get lastApplied(): OpTime {
    return this.server.writer.lastApplied;
  }

  get me(): ConfigMember | undefined {
    return this.config?.members[this.self];
  }

  get electionTimeoutMs(): number {
    return (this.config?.electionTimeoutMs ?? 10_000) * this.server.timings.electionScale;
  }

  get voters(): number {
    return this.config?.members.filter((member) => member.votes > 0).length ?? 0;
  }

  get majority(): number {
    return majorityOf(this.voters);
  }

  others(): { index: number; member: Member }[] {
    return this.members.map((member, index) => ({ index, member })).filter(({ index }) => index !== this.self);
  }

  /** Votes of this member and of those it can reach. */
  votesUp(): number {
    return this.members.reduce((sum, member, index) => sum + (index === this.self || member.up ? member.config.votes : 0), 0);
  }

  progress(): Progress[] {
    return this.members.map((member, index) => {
      const isSelf = index === this.self;
      return {
        up: isSelf || member.up,
        votes: member.config.votes,
        electable: member.config.priority > 0 && (isSelf || member.state === 'SECONDARY'),
        applied: isSelf ? this.lastApplied : member.applied,
        durable: isSelf ? this.durable : member.durable,
      };
    });
  }

  memberByHost(host: unknown): number | undefined {
    const index = this.members.findIndex((member) => member.config.host === host);
    return index < 0 ? undefined : index;
  }

  /** Takes a configuration into use: keeps what is known of members that stay. */
  useConfig(config: ReplicaSetConfig, self: number): void {
    const before = this.members;
    const primaryHost = this.primary === undefined ? undefined : before[this.primary]?.config.host;
    this.members = config.members.map((wanted) => {
      const known = before.find((member) => member.config.host === wanted.host);
      if (known === undefined) return new Member(wanted);
      known.config = wanted;
      return known;
    });
    for (const member of before) if (!this.members.includes(member)) member.close();
    this.config = config;
    this.self = self;
    this.primary = this.memberByHost(primaryHost);
    this.changed();
  }

  setState(next: MemberState, context: string): void {
    if (this.state === next) return;
    this.server.log.info(context, 'REPL', 21358, 'Replica set state transition', { newState: next, oldState: this.state });
    this.state = next;
    this.changed();
  }

  setPrimary(index: number | undefined): void {
    if (this.primary === index) return;
    this.primary = index;
    this.changed();
  }

  /** A primary moves the commit point on. Entries of older terms count only together with one of its own. */
  advanceCommitted(): void {
    const reached = majorityOpTime(this.progress());
    if (this.state !== 'PRIMARY' || reached === undefined || reached.t !== this.term) return;
    this.learnCommitted(reached);
  }

  learnCommitted(opTime: OpTime): void {
    if (compareOpTimes(opTime, this.committed) > 0) this.committed = opTime;
  }

  /** Somebody who watches the topology or waits for a role must look again. */
  changed(): void {
    this.server.topology.bump();
    for (const listener of this.#listeners) listener();
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }
}
