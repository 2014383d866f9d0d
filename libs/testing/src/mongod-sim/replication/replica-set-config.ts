import { Int32, Long, ObjectId } from 'bson';
import { CommandError } from '../commands/command-error.js';
import { type Doc, isDocument, numberOf, truthy } from '../bson-values.js';

/** One member as the configuration names it. */
export interface ConfigMember {
  id: number;
  host: string;
  priority: number;
  votes: number;
  arbiterOnly: boolean;
  hidden: boolean;
  tags: Doc;
}

/** A valid replica set configuration. */
export interface ReplicaSetConfig {
  setName: string;
  version: number;
  term: number;
  members: ConfigMember[];
  electionTimeoutMs: number;
  heartbeatTimeoutMs: number;
  configServer: boolean;
  /** As `replSetGetConfig` shows it and as it is stored. */
  document: Doc;
}

function invalid(message: string): never {
  throw new CommandError(93, message);
}

function memberFrom(value: unknown, index: number): { member: ConfigMember; document: Doc } {
  if (!isDocument(value)) invalid(`members.${index} must be an object`);
  const id = numberOf(value['_id']);
  const host = value['host'];
  if (id === undefined || !Number.isInteger(id) || id < 0) invalid(`members.${index}._id must be a non-negative integer`);
  if (typeof host !== 'string' || !/^[^:\s]+(:\d+)?$/.test(host)) invalid(`members.${index}.host must be host:port`);
  const member: ConfigMember = {
    id,
    host: host.includes(':') ? host : `${host}:27017`,
    priority: numberOf(value['priority']) ?? 1,
    votes: numberOf(value['votes']) ?? 1,
    arbiterOnly: truthy(value['arbiterOnly']),
    hidden: truthy(value['hidden']),
    tags: isDocument(value['tags']) ? value['tags'] : {},
  };
  if (member.arbiterOnly) member.priority = 0;
  if (member.votes !== 0 && member.votes !== 1) invalid(`votes field value is ${member.votes} but must be 0 or 1`);
  if (member.votes === 0 && member.priority > 0) invalid('priority must be 0 when non-voting (votes:0)');
  if (member.hidden && member.priority > 0) invalid('priority must be 0 when hidden=true');
  const document: Doc = {
    _id: new Int32(id),
    host: member.host,
    arbiterOnly: member.arbiterOnly,
    buildIndexes: true,
    hidden: member.hidden,
    priority: member.priority,
    tags: member.tags,
    slaveDelay: Long.ZERO,
    votes: new Int32(member.votes),
  };
  return { member, document };
}

/** Reads a configuration and fills in the defaults. Throws InvalidReplicaSetConfig (93). */
export function parseConfig(value: unknown, setName: string): ReplicaSetConfig {
  if (!isDocument(value)) invalid('no configuration specified');
  if (value['_id'] !== setName) {
    invalid(`Attempting to initiate a replica set with name ${String(value['_id'])}, but command line reports ${setName}; rejecting`);
  }
  const list = value['members'];
  if (!Array.isArray(list) || list.length === 0) invalid('Replica set configuration must contain at least one member');
  if (list.length > 50) invalid('Replica set configuration contains more than 50 members');
  const parts = list.map(memberFrom);
  const members = parts.map((part) => part.member);
  if (new Set(members.map((member) => member.id)).size < members.length) invalid('Found two member configurations with same _id field');
  if (new Set(members.map((member) => member.host)).size < members.length) invalid('Found two member configurations with same host field');
  if (members.filter((member) => member.votes > 0).length > 7) invalid('Replica set configuration contains more than 7 voting members');
  if (!members.some((member) => member.priority > 0))
    invalid('Replica set configuration must contain at least one non-arbiter member with priority > 0');
  const given = isDocument(value['settings']) ? value['settings'] : {};
  const setting = (name: string, fallback: number): number => numberOf(given[name]) ?? fallback;
  const version = numberOf(value['version']) ?? 1;
  if (!Number.isInteger(version) || version < 1) invalid(`version field value of ${version} is out of range`);
  const term = numberOf(value['term']) ?? 0;
  const electionTimeoutMs = setting('electionTimeoutMillis', 10_000);
  if (electionTimeoutMs < 1) invalid('electionTimeoutMillis field value must be positive');
  const heartbeatTimeoutSecs = setting('heartbeatTimeoutSecs', 10);
  const configServer = truthy(value['configsvr']);
  const document: Doc = {
    _id: setName,
    version: new Int32(version),
    term: Long.fromNumber(term),
    ...(configServer ? { configsvr: true } : {}),
    protocolVersion: Long.fromNumber(1),
    writeConcernMajorityJournalDefault: true,
    members: parts.map((part) => part.document),
    settings: {
      chainingAllowed: true,
      heartbeatIntervalMillis: new Int32(setting('heartbeatIntervalMillis', 2000)),
      heartbeatTimeoutSecs: new Int32(heartbeatTimeoutSecs),
      electionTimeoutMillis: new Int32(electionTimeoutMs),
      catchUpTimeoutMillis: new Int32(setting('catchUpTimeoutMillis', -1)),
      catchUpTakeoverDelayMillis: new Int32(setting('catchUpTakeoverDelayMillis', 30_000)),
      getLastErrorModes: isDocument(given['getLastErrorModes']) ? given['getLastErrorModes'] : {},
      getLastErrorDefaults: isDocument(given['getLastErrorDefaults'])
        ? given['getLastErrorDefaults']
        : { w: new Int32(1), wtimeout: new Int32(0) },
      replicaSetId: given['replicaSetId'] instanceof ObjectId ? given['replicaSetId'] : new ObjectId(),
    },
  };
  return { setName, version, term, members, electionTimeoutMs, heartbeatTimeoutMs: heartbeatTimeoutSecs * 1000, configServer, document };
}

/** The same configuration with another term: what a new primary stores. */
export function withTerm(config: ReplicaSetConfig, term: number): ReplicaSetConfig {
  return { ...config, term, document: { ...config.document, term: Long.fromNumber(term) } };
}

/** True when `a` replaces `b`: a higher term, or the same term and a higher version. */
export function isNewerConfig(a: { version: number; term: number }, b: { version: number; term: number } | undefined): boolean {
  if (b === undefined) return true;
  return a.term !== b.term ? a.term > b.term : a.version > b.version;
}
