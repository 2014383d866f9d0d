import { Long } from 'bson';
import { CommandError } from '../commands/command-error.js';
import type { CommandContext, CommandTable } from '../commands/command.js';
import { diagnosticCommands } from '../commands/diagnostics.js';
import { helloCommands } from '../commands/hello.js';
import { shutdownCommand } from '../commands/shutdown.js';
import { type Doc, isDocument, numberOf, stringOf, truthy } from '../bson-values.js';
import { cursorOf } from '../replication/cursor-batch.js';
import type { AccessControl, ServerBase } from '../server.js';
import { Routes } from './routes.js';
import type { Shard, ShardingCatalog } from './sharding-catalog.js';

/** Commands that are run by the primary shard of their database. */
const WRITES = ['insert', 'update', 'delete', 'findAndModify', 'findandmodify', 'create', 'createIndexes'];
const OTHERS = ['find', 'count', 'distinct', 'aggregate', 'drop', 'dropIndexes', 'listIndexes', 'listCollections', 'collStats', 'dbStats'];
/** Databases that live on the config servers. */
const CONFIG_DATABASES = new Set(['admin', 'config']);

type Target = Shard | 'config';

/** All commands of a mongos. `commandNames` is filled by the caller, for `listCommands`. */
export function mongosTables(
  server: ServerBase,
  catalog: () => ShardingCatalog,
  access: AccessControl | undefined,
): { tables: CommandTable[]; commandNames: string[] } {
  const commandNames: string[] = [];
  const cursors = new Map<string, Target>();
  const role = (primaryField: string, context: CommandContext): Doc => ({
    [primaryField]: true,
    msg: 'isdbgrid',
    ...access?.greet(context),
  });
  return {
    commandNames,
    tables: [
      helloCommands(server, role),
      diagnosticCommands(server, { serverStatus: () => ({}), commandNames: () => commandNames }),
      shutdownCommand(server),
      access?.commands() ?? {},
      routedCommands(catalog, cursors),
      shardingCommands(catalog),
    ],
  };
}

function send(catalog: ShardingCatalog, target: Target, { db, command }: CommandContext): Promise<Doc> {
  return target === 'config' ? catalog.config(db, command) : catalog.toShard(target, db, command);
}

function routedCommands(catalog: () => ShardingCatalog, cursors: Map<string, Target>): CommandTable {
  const route = async (context: CommandContext, create: boolean): Promise<Doc> => {
    const target: Target | undefined = CONFIG_DATABASES.has(context.db) ? 'config' : await catalog().shardOf(context.db, create);
    if (target === undefined) return nothing(context);
    const reply = await send(catalog(), target, context);
    const cursor = reply['cursor'];
    if (isDocument(cursor) && Long.isLong(cursor['id']) && !cursor['id'].isZero()) cursors.set(cursor['id'].toString(), target);
    return reply;
  };
  const table: CommandTable = {};
  for (const name of WRITES) table[name] = { run: (context) => route(context, true) };
  for (const name of OTHERS) table[name] = { run: (context) => route(context, false) };
  table['getMore'] = {
    run: async (context) => {
      const key = String(context.command['getMore']);
      const target = cursors.get(key);
      if (target === undefined) throw new CommandError(43, `cursor id ${key} not found`);
      const reply = await send(catalog(), target, context);
      if (numberOf(reply['ok']) !== 1 || isFinished(reply)) cursors.delete(key);
      return reply;
    },
  };
  table['killCursors'] = {
    run: async (context) => {
      const ids = Array.isArray(context.command['cursors']) ? (context.command['cursors'] as unknown[]) : [];
      const target = ids.map((id) => cursors.get(String(id))).find((known) => known !== undefined);
      for (const id of ids) cursors.delete(String(id));
      return target === undefined
        ? { cursorsKilled: [], cursorsNotFound: ids, cursorsAlive: [], cursorsUnknown: [] }
        : send(catalog(), target, context);
    },
  };
  table['dropDatabase'] = {
    run: async (context) => {
      const target = await catalog().shardOf(context.db, false);
      if (target === undefined) return {};
      const reply = await send(catalog(), target, context);
      if (numberOf(reply['ok']) === 1) await catalog().forgetDatabase(context.db);
      return reply;
    },
  };
  table['listDatabases'] = { adminOnly: true, run: ({ command }) => listDatabases(catalog(), command) };
  return table;
}

function isFinished(reply: Doc): boolean {
  const { id } = cursorOf(reply);
  return !Long.isLong(id) || id.isZero();
}

/** The answer for a database that does not exist. */
function nothing({ name, db, command }: CommandContext): Doc {
  if (name === 'count') return { n: 0 };
  if (name === 'distinct') return { values: [] };
  if (name === 'drop' || name === 'dropIndexes' || name === 'listIndexes') throw new CommandError(26, 'ns not found');
  if (name === 'dbStats' || name === 'collStats') return {};
  const collection = command[name];
  return { cursor: { firstBatch: [], id: Long.ZERO, ns: typeof collection === 'string' ? `${db}.${collection}` : `${db}.$cmd.${name}` } };
}

async function listDatabases(catalog: ShardingCatalog, command: Doc): Promise<Doc> {
  await catalog.refresh();
  const asked = { ...command, $readPreference: { mode: 'primaryPreferred' } };
  const replies = [
    await catalog.config('admin', asked),
    ...(await Promise.all(catalog.shards.map((shard) => catalog.toShard(shard, 'admin', asked)))),
  ];
  const found = new Map<string, Doc>();
  for (const [index, reply] of replies.entries()) {
    for (const entry of Routes.checked(reply)['databases'] as Doc[]) {
      const name = String(entry['name']);
      // Of the members' own databases only those of the config servers are shown.
      if (name === 'local' || (index > 0 && CONFIG_DATABASES.has(name))) continue;
      found.set(name, entry);
    }
  }
  const databases = [...found.values()].sort((a, b) => String(a['name']).localeCompare(String(b['name'])));
  if (truthy(command['nameOnly'])) return { databases };
  return { databases, totalSize: databases.reduce((sum, entry) => sum + (numberOf(entry['sizeOnDisk']) ?? 0), 0) };
}

function shardingCommands(catalog: () => ShardingCatalog): CommandTable {
  const text = (value: unknown, name: string): string => {
    const result = stringOf(value);
    if (result === undefined || result === '') throw new CommandError(2, `${name} needs a text`);
    return result;
  };
  const onConfig = { adminOnly: true, run: ({ db, command }: CommandContext) => catalog().config(db, command) };
  const balancer = (mode: 'full' | 'off') => ({
    adminOnly: true,
    run: async (): Promise<Doc> => {
      await catalog().setBalancerMode(mode);
      return {};
    },
  });
  const addShard = {
    adminOnly: true,
    run: async ({ command, name }: CommandContext): Promise<Doc> => ({
      shardAdded: await catalog().addShard(text(command[name], name), stringOf(command['name'])),
    }),
  };
  return {
    addShard,
    addshard: addShard,
    listShards: { adminOnly: true, run: async () => ({ shards: await catalog().listShards() }) },
    removeShard: { adminOnly: true, run: ({ command, name }) => catalog().removeShard(text(command[name], name)) },
    enableSharding: {
      adminOnly: true,
      run: async ({ command, name }) => {
        await catalog().enableSharding(text(command[name], name));
        return {};
      },
    },
    shardCollection: { adminOnly: true, run: ({ command, name }) => catalog().shardCollection(text(command[name], name), command['key']) },
    balancerStatus: {
      adminOnly: true,
      run: async () => ({ mode: await catalog().balancerMode(), inBalancerRound: false, numBalancerRounds: Long.ZERO }),
    },
    balancerStart: balancer('full'),
    balancerStop: balancer('off'),
    createUser: onConfig,
    updateUser: onConfig,
    dropUser: onConfig,
    usersInfo: onConfig,
    getDefaultRWConcern: onConfig,
    setDefaultRWConcern: onConfig,
    flushRouterConfig: {
      adminOnly: true,
      run: async () => {
        await catalog().refresh();
        return { flushed: true };
      },
    },
  };
}
