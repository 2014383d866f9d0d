import { hostname } from 'node:os';
import { UUID } from 'bson';
import type { Doc } from '../bson-values.js';
import type { MongodServer } from '../server.js';
import { FEATURE_COMPATIBILITY_VERSION, buildInfo } from './identity.js';

const INIT = 'initandlisten';

function createCollection(server: MongodServer, context: string, ns: string, options: Doc, uuidDisposition: string): void {
  const uuid = new UUID();
  server.log.info(context, 'STORAGE', 20320, 'createCollection', { namespace: ns, uuidDisposition, uuid: { uuid }, options });
  server.writer.writeUnlogged([{ k: 'create', ns, uuid, options }]);
  server.log.info(context, 'INDEX', 20345, 'Index build: done building', { buildUUID: null, namespace: ns, index: '_id_' });
}

/** Writes what every server writes at its start: at the first one the feature compatibility version, each time a start-up record. */
export function writeFirstCollections(server: MongodServer): void {
  const { engine, log, writer } = server;
  if (engine.fresh) {
    createCollection(server, INIT, 'admin.system.version', {}, 'provided');
    log.info(INIT, 'COMMAND', 20459, 'Setting featureCompatibilityVersion', { newVersion: FEATURE_COMPATIBILITY_VERSION });
    writer.writeUnlogged([
      { k: 'put', ns: 'admin.system.version', doc: { _id: 'featureCompatibilityVersion', version: FEATURE_COMPATIBILITY_VERSION } },
    ]);
  }
  log.info(INIT, 'STORAGE', 20536, 'Flow Control is enabled on this deployment');
  if (engine.fresh) createCollection(server, INIT, 'local.startup_log', { capped: true, size: 10_485_760 }, 'generated');
  const doc = {
    _id: `${hostname()}-${server.startedAt}`,
    hostname: hostname(),
    startTime: new Date(server.startedAt),
    cmdLine: server.options.parsed,
    pid: process.pid,
    buildinfo: buildInfo(),
  };
  writer.writeUnlogged([{ k: 'put', ns: 'local.startup_log', doc }]);
}

/** The sessions collection, which a standalone server creates once it is ready. */
export function writeSessionsCollection(server: MongodServer): void {
  if (server.engine.collection('config.system.sessions') !== undefined) return;
  if (server.parameters.get('disableLogicalSessionCacheRefresh') === true) return;
  createCollection(server, 'LogicalSessionCacheRefresh', 'config.system.sessions', {}, 'generated');
}
