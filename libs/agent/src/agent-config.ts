import { readFile } from 'node:fs/promises';
import { hostname as machineName } from 'node:os';
import { dirname, resolve } from 'node:path';
import { ConfigError, durationSchema, loadYaml, Secret } from '@atrest/platform-config';
import { LOG_LEVELS } from '@atrest/platform-logging';
import { StoreRefusedError } from '@atrest/snapshot-store';
import { z } from 'zod';
import type { AgentKmsOptions } from './snapshots/task-key.js';
import { SnapshotStoreFileSchema, snapshotStoreOf, type AgentSnapshotStore } from './snapshots/store-settings.js';

const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]']);

const FileSchema = z
  .object({
    controlPlane: z.object({
      url: z.url({ protocol: /^https?$/ }),
      /** PEM file of the authority that signed the control plane's certificate. */
      ca: z.string().optional(),
      /** The credential of this host would travel in the clear: only for a network that is protected otherwise. */
      allowPlainHttp: z.boolean().default(false),
    }),
    token: z.string().min(16).optional(),
    tokenFile: z.string().optional(),
    hostname: z.string().min(1).max(253).default(machineName()),
    dataFolder: z.string().min(1),
    stateFolder: z.string().min(1),
    portRange: z
      .object({ first: z.int().min(1024).max(65535), last: z.int().min(1024).max(65535) })
      .refine((range) => range.first <= range.last, 'first must not be above last'),
    capacity: z.int().min(0).max(1000),
    allowsColocation: z.boolean().default(false),
    mongod: z.object({ folder: z.string().optional() }).default({}),
    stop: z
      .object({
        warnAfter: durationSchema({ min: '1s', max: '1h' }).default(30_000),
        killAfter: durationSchema({ min: '1s', max: '24h' }).default(600_000),
      })
      .default({ warnAfter: 30_000, killAfter: 600_000 }),
    /** What SIGTERM to the agent means for its processes. `stop` where the agent is a container's entry point: they end with it anyway. */
    /** Where this host keeps snapshots; without it, it takes none. */
    snapshotStore: SnapshotStoreFileSchema.optional(),
    /** For operators: where key providers are reached from this host, in place of their own addresses. */
    kms: z
      .object({ awsEndpoint: z.url({ protocol: /^https?$/ }).optional(), azureFederatedTokenFile: z.string().min(1).optional() })
      .default({}),
    onTerminate: z.enum(['leave', 'stop']).default('leave'),
    log: z.object({ level: z.enum(LOG_LEVELS).default('info') }).default({ level: 'info' }),
  })
  .refine((file) => file.token === undefined || file.tokenFile === undefined, {
    path: ['tokenFile'],
    message: 'must not be given together with token',
  })
  .refine((file) => file.stop.warnAfter <= file.stop.killAfter, { path: ['stop', 'killAfter'], message: 'must not be below warnAfter' })
  .refine((file) => isProtected(file.controlPlane), {
    path: ['controlPlane', 'url'],
    message: 'must be https, unless it is on the loopback or allowPlainHttp is set',
  });

function isProtected(controlPlane: { url: string; allowPlainHttp: boolean }): boolean {
  const url = URL.parse(controlPlane.url);
  return controlPlane.allowPlainHttp || url === null || url.protocol === 'https:' || LOOPBACK.has(url.hostname);
}

/** The agent's configuration, checked and complete; paths are absolute. */
export interface AgentConfig {
  readonly controlPlane: { readonly url: string; readonly ca: string | undefined };
  readonly token: Secret | undefined;
  readonly hostname: string;
  readonly dataFolder: string;
  readonly stateFolder: string;
  readonly portRange: { readonly first: number; readonly last: number };
  readonly capacity: number;
  readonly allowsColocation: boolean;
  readonly mongodFolder: string | undefined;
  readonly stop: { readonly warnAfterMs: number; readonly killAfterMs: number };
  readonly snapshotStore: AgentSnapshotStore | null;
  readonly kms: AgentKmsOptions;
  readonly onTerminate: 'leave' | 'stop';
  readonly logLevel: string;
}

/**
 * Reads `agent.yaml`. Relative paths start from the file's folder. The token file may be gone once the host is enrolled.
 *
 * @throws ConfigError
 */
export async function loadAgentConfig(path: string): Promise<AgentConfig> {
  const file = await loadYaml(path, FileSchema as z.ZodType<z.infer<typeof FileSchema>>);
  const absolute = (name: string) => resolve(dirname(path), name);
  const { controlPlane } = file;
  const ca = controlPlane.ca === undefined ? undefined : await readNamed(absolute(controlPlane.ca), 'controlPlane.ca');
  const tokenText =
    file.tokenFile === undefined
      ? file.token
      : await readFile(absolute(file.tokenFile), 'utf8').then(
          (text) => text.trim(),
          () => undefined,
        );
  return {
    controlPlane: { url: controlPlane.url, ca },
    token: tokenText === undefined ? undefined : new Secret(tokenText),
    hostname: file.hostname,
    dataFolder: absolute(file.dataFolder),
    stateFolder: absolute(file.stateFolder),
    portRange: file.portRange,
    capacity: file.capacity,
    allowsColocation: file.allowsColocation,
    mongodFolder: file.mongod.folder === undefined ? undefined : absolute(file.mongod.folder),
    stop: { warnAfterMs: file.stop.warnAfter, killAfterMs: file.stop.killAfter },
    snapshotStore: storeOf(file.snapshotStore, absolute),
    kms: {
      ...(file.kms.awsEndpoint !== undefined && { aws: { endpoint: file.kms.awsEndpoint } }),
      ...(file.kms.azureFederatedTokenFile !== undefined && { azure: { federatedTokenFile: absolute(file.kms.azureFederatedTokenFile) } }),
    },
    onTerminate: file.onTerminate,
    logLevel: file.log.level,
  };
}

function storeOf(file: z.infer<typeof FileSchema>['snapshotStore'], absolute: (path: string) => string): AgentSnapshotStore | null {
  if (file === undefined) return null;
  try {
    return snapshotStoreOf(file, absolute);
  } catch (error) {
    if (!(error instanceof StoreRefusedError)) throw error;
    throw new ConfigError([{ variable: 'snapshotStore.s3', rule: `cannot be right. ${error.message}` }]);
  }
}

async function readNamed(path: string, variable: string): Promise<string> {
  return readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new ConfigError([{ variable, rule: `names a file that cannot be read (${error.code ?? 'unknown error'})` }]);
  });
}
