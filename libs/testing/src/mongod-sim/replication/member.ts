import { Timestamp } from 'bson';
import type { Doc } from '../bson-values.js';
import { WireClient } from '../wire/client.js';
import { NO_OP_TIME, type OpTime, compareOpTimes } from './op-time.js';
import type { ConfigMember } from './replica-set-config.js';
import type { MemberState } from './rules.js';

/** What this member knows of another one (or, at its own index, of itself). */
export class Member {
  config: ConfigMember;
  up = false;
  state: MemberState = 'UNKNOWN';
  applied: OpTime = NO_OP_TIME;
  durable: OpTime = NO_OP_TIME;
  configVersion = -2;
  configTerm = -1;
  electionTime = new Timestamp({ t: 0, i: 0 });
  syncSource = '';
  message = '';
  pingMs = 0;
  upSince = 0;
  lastHeartbeat = new Date(0);
  lastHeartbeatReceived = new Date(0);
  /** When it last answered or reported, in milliseconds: a primary counts the members it hears from. */
  lastHeardAt = 0;
  heartbeatTimer: NodeJS.Timeout | undefined;
  heartbeatRunning = false;
  /** Another heartbeat was asked for while one was under way. */
  heartbeatAgain = false;
  /** For heartbeats alone: what waits must not delay them. */
  readonly heartbeats: WireClient;
  /** For votes, positions and requests to step up. */
  readonly control: WireClient;

  constructor(config: ConfigMember) {
    this.config = config;
    this.heartbeats = new WireClient(config.host);
    this.control = new WireClient(config.host);
  }

  /** Takes over a reported position; positions of one history only grow. */
  progressed(applied: OpTime, durable: OpTime): boolean {
    const grew = compareOpTimes(applied, this.applied) !== 0 || compareOpTimes(durable, this.durable) !== 0;
    this.applied = applied;
    this.durable = durable;
    return grew;
  }

  close(): void {
    clearTimeout(this.heartbeatTimer);
    this.heartbeats.close();
    this.control.close();
  }
}

/** Part of a log line: the error of a host that could not be reached. */
export function unreachable(message: string): Doc {
  return { code: 6, codeName: 'HostUnreachable', errmsg: message };
}
