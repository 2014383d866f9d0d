import { hostname, totalmem } from 'node:os';
import { type Doc, long, numberOf } from '../bson-values.js';
import { FEATURE_COMPATIBILITY_VERSION, VERSION, buildInfo } from '../process/identity.js';
import { ParameterError } from '../process/parameters.js';
import type { ServerBase } from '../server.js';
import { CommandError } from './command-error.js';
import type { CommandContext, CommandTable } from './command.js';

/** Commands that tell about the process; the same on mongod and mongos. */
export function diagnosticCommands(
  server: ServerBase,
  extras: { serverStatus: () => Doc; commandNames: () => string[]; currentOp?: () => Doc },
): CommandTable {
  const info = { run: () => buildInfo() };
  return {
    ping: { run: () => ({}) },
    buildInfo: info,
    buildinfo: info,
    getCmdLineOpts: { adminOnly: true, run: () => ({ argv: server.options.argv, parsed: server.options.parsed }) },
    getParameter: { adminOnly: true, run: (context) => getParameter(server, context) },
    setParameter: { adminOnly: true, run: (context) => setParameter(server, context) },
    getLog: { adminOnly: true, run: ({ command }) => getLog(server, command['getLog']) },
    hostInfo: {
      run: () => ({
        system: {
          currentTime: new Date(),
          hostname: `${hostname()}:${server.options.port}`,
          cpuAddrSize: 64,
          memSizeMB: long(Math.floor(totalmem() / 2 ** 20)),
        },
        os: { type: 'Linux', name: process.platform, version: process.version },
        extra: {},
      }),
    },
    connectionStatus: { run: () => ({ authInfo: { authenticatedUsers: [], authenticatedUserRoles: [] } }) },
    whatsmyuri: { run: ({ connection }) => ({ you: connection.remote }) },
    currentOp: { adminOnly: true, run: () => ({ inprog: [], ...extras.currentOp?.() }) },
    listCommands: { run: () => ({ commands: Object.fromEntries(extras.commandNames().map((name) => [name, { help: '' }])) }) },
    serverStatus: { run: () => ({ ...commonStatus(server), ...extras.serverStatus() }) },
    startSession: { run: ({ command }) => ({ id: command['id'] ?? {}, timeoutMinutes: 30 }) },
    refreshSessions: { run: () => ({}) },
    endSessions: { run: () => ({}) },
    killSessions: { run: () => ({}) },
    killAllSessions: { run: () => ({}) },
    logRotate: { adminOnly: true, run: () => ({}) },
  };
}

function commonStatus(server: ServerBase): Doc {
  const uptimeMs = Date.now() - server.startedAt;
  const memory = process.memoryUsage();
  return {
    host: `${hostname()}:${server.options.port}`,
    version: VERSION,
    process: server.options.program,
    pid: long(process.pid),
    uptime: uptimeMs / 1000,
    uptimeMillis: long(uptimeMs),
    uptimeEstimate: long(Math.floor(uptimeMs / 1000)),
    localTime: new Date(),
    asserts: { regular: 0, warning: 0, msg: 0, user: 0, tripwire: 0, rollovers: 0 },
    connections: { current: server.wire.connections, available: 19_980, totalCreated: server.wire.totalCreated, active: 1 },
    mem: { bits: 64, resident: Math.round(memory.rss / 2 ** 20), virtual: Math.round(memory.rss / 2 ** 20), supported: true },
  };
}

function getParameter(server: ServerBase, { command }: CommandContext): Doc {
  const known: Doc = {
    ...server.parameters.all(),
    ...(server.options.program === 'mongod' ? { featureCompatibilityVersion: { version: FEATURE_COMPATIBILITY_VERSION } } : {}),
  };
  if (command['getParameter'] === '*') return known;
  const names = Object.keys(command).filter((name) => name in known && name !== 'getParameter');
  if (names.length === 0) throw new CommandError(72, 'no option found to get');
  return Object.fromEntries(names.map((name) => [name, known[name]]));
}

function setParameter(server: ServerBase, { command }: CommandContext): Doc {
  const [name] = Object.keys(command).filter(
    (key) => key !== 'setParameter' && !key.startsWith('$') && key !== 'lsid' && key !== 'comment',
  );
  if (name === undefined) throw new CommandError(72, 'no option found to set, use help:true to see options ');
  const value = command[name];
  try {
    const was = server.parameters.set(name, numberOf(value) ?? (value as string | boolean));
    return { was };
  } catch (error) {
    if (error instanceof ParameterError)
      throw new CommandError(72, `attempted to set unrecognized parameter [${name}], use help:true to see options `);
    throw error;
  }
}

function getLog(server: ServerBase, which: unknown): Doc {
  if (which === '*') return { names: server.log.names() };
  const lines = typeof which === 'string' ? server.log.recent(which) : undefined;
  if (lines === undefined) throw new CommandError(96, `no RamLog named: ${String(which)}`);
  return { totalLinesWritten: lines.length, log: [...lines] };
}
