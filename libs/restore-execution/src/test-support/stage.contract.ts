// Excluded from the package like every *.contract.ts: for the suites of this library only.
import { randomUUID } from 'node:crypto';
import {
  clusterCreated,
  commandKid,
  newObjectId,
  projectCreated,
  RESTORE_COMMAND_JWS_TYPE,
  restoreCommandRequested,
  serviceAccountChanged,
  topics,
  type ClusterSummary,
  type EventDefinition,
  type EventEnvelope,
  type ProjectState,
  type PublicJwk,
  type RestoreCommand,
  type RestoreCommandRejected,
  type Role,
  type ServiceAccountState,
} from '@atrest/contracts';
import { createLogger } from '@atrest/platform-logging';
import { EmbeddedTransport } from '@atrest/platform-messaging';
import { Metrics } from '@atrest/platform-metrics';
import { ServiceDatabase } from '@atrest/platform-persistence';
import type { Service } from '@atrest/platform-service';
import { SimulatedClock } from '@atrest/platform-time';
import { testDatabase, type TestDatabase } from '@atrest/testing';
import { calculateJwkThumbprint, CompactSign, exportJWK, generateKeyPair, type CompactJWSHeaderParameters, type CryptoKey } from 'jose';
import { createRestoreExecutionService } from '../restore-execution.service.js';

export const START = new Date('2026-11-23T12:00:00.000Z');
export const MINUTE = 60_000;

/** A key of a service account, both halves. */
export interface Signer {
  readonly clientId: string;
  readonly kid: string;
  readonly algorithm: 'ES256' | 'EdDSA';
  readonly privateKey: CryptoKey;
  readonly publicJwk: PublicJwk;
}

export async function newSigner(clientId: string, algorithm: 'ES256' | 'EdDSA' = 'ES256'): Promise<Signer> {
  const { publicKey, privateKey } = await generateKeyPair(algorithm);
  const publicJwk = (await exportJWK(publicKey)) as PublicJwk;
  return { clientId, kid: commandKid(clientId, await calculateJwkThumbprint(publicJwk)), algorithm, privateKey, publicJwk };
}

export function newClientId(): string {
  return `mdb_sa_id_${newObjectId()}`;
}

/** A JWS over whatever is given. `header` replaces members of the right one. */
export function sign(payload: unknown, signer: Signer, header: Partial<CompactJWSHeaderParameters> = {}): Promise<string> {
  return new CompactSign(new TextEncoder().encode(typeof payload === 'string' ? payload : JSON.stringify(payload)))
    .setProtectedHeader({ alg: signer.algorithm, kid: signer.kid, typ: RESTORE_COMMAND_JWS_TYPE, ...header })
    .sign(signer.privateKey);
}

/** A message as another team publishes it. */
export function message(data: unknown, o: Partial<EventEnvelope> = {}): EventEnvelope {
  return {
    specversion: '1.0',
    id: randomUUID(),
    source: '/payments/restores',
    type: restoreCommandRequested.type,
    subject: randomUUID(),
    time: START.toISOString(),
    datacontenttype: 'application/json',
    correlationid: 'release 42',
    data,
    ...o,
  };
}

/** An organisation with two projects, a cluster in each, and an account that may restore from the one into the other. */
export interface Scene {
  readonly orgId: string;
  readonly source: ProjectState;
  readonly target: ProjectState;
  readonly signer: Signer;
  readonly account: ServiceAccountState;
}

/** The whole service on a database of its own, behind the embedded transport, with a clock that stands still. */
export class Stage {
  readonly clock = new SimulatedClock(START);
  readonly logLines: string[] = [];
  private readonly services: Service[] = [];
  readonly transport = new EmbeddedTransport();

  private constructor(
    private readonly testDatabase: TestDatabase,
    readonly database: ServiceDatabase,
  ) {}

  static async open(name: string): Promise<Stage> {
    const database = await testDatabase(name);
    const own = await ServiceDatabase.open({
      service: 'restore-execution',
      url: database.url,
      migrations: [],
      logger: createLogger({ service: 'test', level: 'silent' }),
      metrics: new Metrics(),
      poolSize: 2,
    });
    return new Stage(database, own);
  }

  /** The first replica, or another one; started. Nothing is waited for unless that is asked for. */
  async replica(o: { projectionWaitMs?: number } = {}): Promise<Service> {
    const service = await createRestoreExecutionService(
      {
        database: { url: this.testDatabase.url },
        transport: this.transport,
        clock: this.clock,
        logger: createLogger({
          service: 'restore-execution',
          level: 'debug',
          destination: { write: (line: string) => void this.logLines.push(line) },
        }),
        metrics: new Metrics(),
      },
      { projectionWaitMs: 0, ...o },
    );
    this.services.push(service);
    await service.start();
    return service;
  }

  /** Everything is handled. */
  async settled(): Promise<void> {
    for (const service of this.services) await service.messaging.whenCaughtUp();
  }

  /** An event of `fleet`. */
  async tell<Data>(definition: EventDefinition<Data>, data: Data): Promise<void> {
    const envelope = message(data, { source: '/atrest/fleet', type: definition.type, subject: definition.subjectOf(data) });
    await this.transport.send([{ topic: definition.topic.name, envelope }]);
    await this.settled();
  }

  /** Messages of other teams. */
  async send(...envelopes: EventEnvelope[]): Promise<void> {
    await this.transport.send(envelopes.map((envelope) => ({ topic: topics.restoreCommands.name, envelope })));
  }

  async sendAndSettle(...envelopes: EventEnvelope[]): Promise<void> {
    await this.send(...envelopes);
    await this.settled();
  }

  /** A command's JWS in a message; settled. Returns the message. */
  async command(jws: string, o: Partial<EventEnvelope> = {}): Promise<EventEnvelope> {
    const envelope = message({ jws }, o);
    await this.sendAndSettle(envelope);
    return envelope;
  }

  async scene(roles: { source: Role; target: Role } = { source: 'GROUP_BACKUP_MANAGER', target: 'GROUP_BACKUP_MANAGER' }): Promise<Scene> {
    const orgId = newObjectId();
    const [source, target] = [projectState({ orgId }), projectState({ orgId })];
    const signer = await newSigner(newClientId());
    const account = accountState(orgId, signer, [
      { role: roles.source, orgId: null, projectId: source.id },
      { role: roles.target, orgId: null, projectId: target.id },
    ]);
    await this.tell(projectCreated, source);
    await this.tell(projectCreated, target);
    await this.tell(clusterCreated, clusterState(source.id, 'orders'));
    await this.tell(clusterCreated, clusterState(target.id, 'orders-copy'));
    await this.tell(serviceAccountChanged, account);
    return { orgId, source, target, signer, account };
  }

  /** What was answered so far, in order. */
  async answers(): Promise<EventEnvelope<RestoreCommandRejected>[]> {
    const found = await this.database.query<{ envelope: EventEnvelope<RestoreCommandRejected> }>(
      'SELECT envelope FROM outbox ORDER BY position',
    );
    return found.map(({ envelope }) => envelope);
  }

  /** The one answer to the message. */
  async answerTo({ id }: EventEnvelope): Promise<RestoreCommandRejected> {
    const answers = (await this.answers()).filter(({ data }) => data.messageId === id);
    if (answers.length !== 1) throw new Error(`${answers.length} answers`);
    return answers[0]!.data;
  }

  record(): Promise<Record<string, unknown>[]> {
    return this.database.query('SELECT * FROM restore_command ORDER BY decided_at, message_id');
  }

  async close(): Promise<void> {
    await Promise.all(this.services.map((service) => service.stop()));
    await this.database.close();
    await this.transport.close();
    await this.testDatabase.drop();
  }
}

export function restoreCommand(scene: Pick<Scene, 'source' | 'target' | 'signer'>, o: Partial<RestoreCommand> = {}): RestoreCommand {
  return {
    commandId: randomUUID(),
    idempotencyKey: randomUUID(),
    issuedAt: START.toISOString(),
    actingServiceAccount: scene.signer.clientId,
    source: { projectId: scene.source.id, clusterName: 'orders' },
    target: { projectId: scene.target.id, clusterName: 'orders-copy' },
    delivery: { deliveryType: 'automated', snapshotId: newObjectId() },
    ...o,
  };
}

export function projectState(o: Partial<ProjectState> = {}): ProjectState {
  const id = newObjectId();
  return { id, orgId: newObjectId(), name: id, members: [], createdAt: START.toISOString(), deletedAt: null, revision: 1, ...o };
}

export function clusterState(projectId: string, name: string, o: Partial<ClusterSummary> = {}): ClusterSummary {
  return {
    id: newObjectId(),
    projectId,
    name,
    clusterType: 'REPLICASET',
    state: 'IDLE',
    disabledReason: null,
    encryptionAtRestProvider: 'NONE',
    backupEnabled: true,
    mongoDBVersion: '8.0.0',
    processes: [],
    createdAt: START.toISOString(),
    deletedAt: null,
    revision: 1,
    ...o,
  };
}

export function accountState(orgId: string, signer: Signer, grants: ServiceAccountState['grants'], revision = 1): ServiceAccountState {
  const { clientId, kid, publicJwk } = signer;
  return { clientId, orgId, name: 'restores', grants, signingKeys: [{ kid, publicJwk }], deletedAt: null, revision };
}
