import { hostname } from 'node:os';
import { CommandError } from '../commands/command-error.js';
import { type Doc, isDocument, numberOf } from '../bson-values.js';
import type { MongodServer } from '../server.js';
import { WireClient } from '../wire/client.js';
import { type ReplicaSetConfig, parseConfig } from './replica-set-config.js';
import type { Heartbeats } from './heartbeats.js';
import type { SetState } from './set-state.js';

const CHECK_TIMEOUT_MS = 10_000;

/** What a change of the configuration needs of the member that makes it. */
export interface Initiator {
  readonly set: SetState;
  readonly heartbeats: Heartbeats;
  requireConfig(): ReplicaSetConfig;
  findSelf(config: ReplicaSetConfig): Promise<number>;
  install(config: ReplicaSetConfig): Promise<void>;
}

function defaultConfig(server: MongodServer, setName: string): Doc {
  const { addresses, port } = server.options;
  const host = addresses.every((address) => address.startsWith('127.')) ? 'localhost' : hostname();
  return { _id: setName, version: 1, members: [{ _id: 0, host: `${host}:${port}` }] };
}

/** Every other member must answer, know no set yet and hold no data. */
async function checkMembers(coordinator: Initiator, config: ReplicaSetConfig, self: number): Promise<void> {
  const problems = await Promise.all(
    config.members.map(async (member, index) => {
      if (index === self) return undefined;
      const client = new WireClient(member.host);
      try {
        const reply = await client.command('admin', { ...coordinator.heartbeats.request(), from: '' }, CHECK_TIMEOUT_MS);
        return (numberOf(reply['v']) ?? -2) > 0 ? `${member.host} is already initialized` : undefined;
      } catch (error) {
        return `${member.host} failed with ${error instanceof Error ? error.message : 'unknown'}`;
      } finally {
        client.close();
      }
    }),
  );
  const failed = problems.filter((problem) => problem !== undefined);
  if (failed.length > 0) {
    throw new CommandError(
      74,
      `replSetInitiate quorum check failed because not all proposed set members responded affirmatively: ${failed.join(', ')}`,
    );
  }
}

/** `replSetInitiate`: the first configuration and the first oplog entry. */
export async function initiate(server: MongodServer, coordinator: Initiator, value: unknown): Promise<Doc> {
  const { set } = coordinator;
  if (set.config !== undefined) throw new CommandError(23, 'already initialized');
  server.log.info('conn', 'REPL', 21356, 'replSetInitiate admin command received from client');
  const given = isDocument(value) && Object.keys(value).length > 0 ? value : defaultConfig(server, set.setName);
  const config = parseConfig(given, set.setName);
  const isConfigServer = server.options.clusterRole === 'configsvr';
  if (isConfigServer !== config.configServer) {
    throw new CommandError(
      93,
      isConfigServer
        ? 'Nodes started with the --configsvr flag must have configsvr:true in their config'
        : 'Nodes being used for config servers must be started with the --configsvr flag',
    );
  }
  const self = await coordinator.findSelf(config);
  if (self < 0) {
    throw new CommandError(
      74,
      `No host described in new configuration with {version: ${config.version}, term: ${config.term}} for replica set ${set.setName} maps to this node`,
    );
  }
  await checkMembers(coordinator, config, self);
  if (set.config !== undefined) throw new CommandError(23, 'already initialized');
  server.log.info('conn', 'REPL', 21357, 'replSetInitiate config object parses ok', { numMembers: config.members.length });
  server.writer.term = -1;
  server.writer.write([{ op: 'noop', message: { msg: 'initiating set' } }]);
  server.writer.term = undefined;
  await server.engine.sync();
  set.durable = set.lastApplied;
  await coordinator.install(config);
  return {};
}

/** `replSetReconfig`: a higher version of the configuration, on the primary or forced. */
export async function reconfigure(coordinator: Initiator, value: unknown, force: boolean): Promise<Doc> {
  const { set } = coordinator;
  if (!force && !set.writable) throw new CommandError(10107, 'replSetReconfig should only be run on a writable PRIMARY.');
  const before = coordinator.requireConfig();
  const given = isDocument(value) ? value : {};
  const version = numberOf(given['version']) ?? 1;
  if (!force && version <= before.version) {
    throw new CommandError(
      103,
      `New and old configurations differ in version and term, but the new one is not newer: version ${version} against ${before.version}`,
    );
  }
  const settings = isDocument(given['settings']) ? given['settings'] : {};
  const kept = isDocument(before.document['settings']) ? before.document['settings'] : {};
  const document: Doc = {
    ...given,
    version: force ? Math.max(version, before.version) + 10_000 : version,
    term: before.term,
    settings: { ...settings, replicaSetId: kept['replicaSetId'] },
  };
  const config = parseConfig(document, set.setName);
  const self = await coordinator.findSelf(config);
  if (self < 0 && !force) throw new CommandError(74, 'No host described in new configuration maps to this node');
  await coordinator.install(config);
  return {};
}
