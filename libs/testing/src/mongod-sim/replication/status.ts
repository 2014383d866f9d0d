import { Int32, Long, Timestamp } from 'bson';
import { type Doc } from '../bson-values.js';
import type { Member } from './member.js';
import { NO_OP_TIME, type OpTime, opTimeDate, opTimeDocument } from './op-time.js';
import { STATE_NUMBERS } from './rules.js';
import type { SetState } from './set-state.js';

/** The role part of `hello`, `isMaster` and `serverStatus.repl`. */
export function helloRole(set: SetState, primaryField: string): Doc {
  const { config, me } = set;
  if (config === undefined || me === undefined) {
    return { [primaryField]: false, secondary: false, info: 'Does not have a valid replica set config', isreplicaset: true };
  }
  const visible = config.members.filter((member) => !member.hidden);
  const hosts = visible.filter((member) => !member.arbiterOnly && member.priority > 0).map((member) => member.host);
  const passives = visible.filter((member) => !member.arbiterOnly && member.priority === 0).map((member) => member.host);
  const arbiters = visible.filter((member) => member.arbiterOnly).map((member) => member.host);
  const primary = set.primary === undefined ? undefined : config.members[set.primary]?.host;
  return {
    hosts,
    ...(passives.length > 0 ? { passives } : {}),
    ...(arbiters.length > 0 ? { arbiters } : {}),
    setName: set.setName,
    setVersion: new Int32(config.version),
    [primaryField]: set.writable,
    secondary: set.state === 'SECONDARY' || (set.state === 'PRIMARY' && !set.writable),
    ...(primary === undefined ? {} : { primary }),
    ...(me.arbiterOnly ? { arbiterOnly: true } : {}),
    ...(me.priority === 0 && !me.arbiterOnly ? { passive: true } : {}),
    ...(me.hidden ? { hidden: true } : {}),
    ...(Object.keys(me.tags).length > 0 ? { tags: me.tags } : {}),
    me: me.host,
    ...(set.writable && set.electionId !== undefined ? { electionId: set.electionId } : {}),
    lastWrite: {
      opTime: opTimeDocument(set.lastApplied),
      lastWriteDate: opTimeDate(set.lastApplied),
      ...(set.committed.t < 0 ? {} : { majorityOpTime: opTimeDocument(set.committed), majorityWriteDate: opTimeDate(set.committed) }),
    },
  };
}

function wall(set: SetState): Date {
  const last = set.server.engine.oplog.last;
  return last?.['wall'] instanceof Date ? last['wall'] : new Date(0);
}

function selfStatus(set: SetState, index: number, host: string): Doc {
  const config = set.config;
  return {
    _id: new Int32(config?.members[index]?.id ?? index),
    name: host,
    health: 1,
    state: new Int32(STATE_NUMBERS[set.state]),
    stateStr: set.state,
    uptime: new Int32(Math.floor((Date.now() - set.server.startedAt) / 1000)),
    optime: opTimeDocument(set.lastApplied),
    optimeDate: opTimeDate(set.lastApplied),
    syncSourceHost: set.syncSource,
    syncSourceId: new Int32(sourceId(set, set.syncSource)),
    infoMessage: '',
    ...(set.state === 'PRIMARY' && set.electionTime !== undefined
      ? { electionTime: set.electionTime, electionDate: new Date(set.electionTime.getHighBitsUnsigned() * 1000) }
      : {}),
    configVersion: new Int32(config?.version ?? -2),
    configTerm: Long.fromNumber(config?.term ?? -1),
    self: true,
    lastHeartbeatMessage: '',
  };
}

function otherStatus(set: SetState, member: Member): Doc {
  const applied = member.up ? member.applied : NO_OP_TIME;
  const durable = member.up ? member.durable : NO_OP_TIME;
  return {
    _id: new Int32(member.config.id),
    name: member.config.host,
    health: member.up ? 1 : 0,
    state: new Int32(STATE_NUMBERS[member.state]),
    stateStr: member.state === 'DOWN' ? '(not reachable/healthy)' : member.state,
    uptime: new Int32(member.up ? Math.floor((Date.now() - member.upSince) / 1000) : 0),
    optime: opTimeDocument(applied),
    optimeDurable: opTimeDocument(durable),
    optimeDate: opTimeDate(applied),
    optimeDurableDate: opTimeDate(durable),
    lastHeartbeat: member.lastHeartbeat,
    lastHeartbeatRecv: member.lastHeartbeatReceived,
    pingMs: Long.fromNumber(member.pingMs),
    lastHeartbeatMessage: member.message,
    syncSourceHost: member.syncSource,
    syncSourceId: new Int32(sourceId(set, member.syncSource)),
    infoMessage: '',
    ...(member.state === 'PRIMARY'
      ? { electionTime: member.electionTime, electionDate: new Date(member.electionTime.getHighBitsUnsigned() * 1000) }
      : {}),
    configVersion: new Int32(member.configVersion),
    configTerm: Long.fromNumber(member.configTerm),
  };
}

function sourceId(set: SetState, host: string): number {
  const index = set.memberByHost(host);
  return index === undefined ? -1 : (set.config?.members[index]?.id ?? -1);
}

function committedDate(opTime: OpTime): Date {
  return opTime.t < 0 ? new Date(0) : opTimeDate(opTime);
}

/** The reply to `replSetGetStatus`. */
export function setStatus(set: SetState): Doc {
  const holders = set.members.filter((member) => member.config.votes > 0 && !member.config.arbiterOnly).length;
  const won = set.won;
  return {
    set: set.setName,
    date: new Date(),
    myState: new Int32(STATE_NUMBERS[set.state]),
    term: Long.fromNumber(set.term),
    syncSourceHost: set.syncSource,
    syncSourceId: new Int32(sourceId(set, set.syncSource)),
    ...(set.config?.configServer === true ? { configsvr: true } : {}),
    heartbeatIntervalMillis: Long.fromNumber(2000),
    majorityVoteCount: new Int32(set.majority),
    writeMajorityCount: new Int32(Math.min(set.majority, holders)),
    votingMembersCount: new Int32(set.voters),
    writableVotingMembersCount: new Int32(holders),
    optimes: {
      lastCommittedOpTime: opTimeDocument(set.committed),
      lastCommittedWallTime: committedDate(set.committed),
      appliedOpTime: opTimeDocument(set.lastApplied),
      durableOpTime: opTimeDocument(set.durable),
      lastAppliedWallTime: wall(set),
      lastDurableWallTime: wall(set),
    },
    lastStableRecoveryTimestamp: set.committed.t < 0 ? new Timestamp({ t: 0, i: 0 }) : set.committed.ts,
    ...(won !== undefined && set.state === 'PRIMARY'
      ? {
          electionCandidateMetrics: {
            lastElectionReason: won.reason,
            lastElectionDate: won.date,
            electionTerm: Long.fromNumber(won.term),
            lastCommittedOpTimeAtElection: opTimeDocument(won.committedAtElection),
            lastSeenOpTimeAtElection: opTimeDocument(won.seenAtElection),
            numVotesNeeded: new Int32(set.majority),
            priorityAtElection: set.me?.priority ?? 1,
            electionTimeoutMillis: Long.fromNumber(set.config?.electionTimeoutMs ?? 10_000),
            numCatchUpOps: Long.ZERO,
            newTermStartDate: won.newTermStart,
          },
        }
      : {}),
    members: set.members.map((member, index) =>
      index === set.self ? selfStatus(set, index, member.config.host) : otherStatus(set, member),
    ),
  };
}
