import { createHmac, randomUUID } from 'node:crypto';
import {
  clusterDeleted,
  projectCreated,
  projectDeleted,
  RESTORE_COMMAND_JWS_TYPE,
  restoreCommandRejected,
  serviceAccountChanged,
  topics,
  type EventEnvelope,
  type ServiceAccountState,
} from '@atrest/contracts';
import { AccessStore } from '@atrest/platform-auth';
import { createLogger } from '@atrest/platform-logging';
import { EventPublisher, type EventHandler } from '@atrest/platform-messaging';
import { Metrics } from '@atrest/platform-metrics';
import type { Service } from '@atrest/platform-service';
import { waitFor } from '@atrest/testing';
import { base64url } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CommandAnswers } from './command-answers.js';
import { CommandIntake } from './command-intake.js';
import { NotYetKnownError, Patience } from './patience.js';
import { ClusterProjection } from './projections/cluster-projection.js';
import { projectionHandlers } from './projections/handlers.js';
import { ProjectProjection } from './projections/project-projection.js';
import { RestoreCommandRepository } from './restore-command.repository.js';
import {
  accountState,
  clusterState,
  message,
  MINUTE,
  newClientId,
  newSigner,
  projectState,
  restoreCommand,
  sign,
  Stage,
  START,
  type Scene,
} from './test-support/stage.contract.js';

let stage: Stage;
let service: Service;
let scene: Scene;

beforeEach(async () => {
  stage = await Stage.open('restore commands');
  service = await stage.replica();
  scene = await stage.scene();
});
afterEach(async () => {
  await stage?.close();
});

const letters = () => service.messaging.deadLetters.list();
const reasonOf = async (envelope: Parameters<Stage['answerTo']>[0]) => (await stage.answerTo(envelope)).reason;
const unknownToTheSender = { signedBy: null, commandId: null, idempotencyKey: null, source: null, target: null };

describe('a command that passes every check', () => {
  it.each(['ES256', 'EdDSA'] as const)('is answered: this release takes no restores (%s)', async (algorithm) => {
    const signer = await newSigner(scene.account.clientId, algorithm);
    await stage.tell(serviceAccountChanged, accountState(scene.orgId, signer, scene.account.grants, 2));
    const command = restoreCommand({ ...scene, signer });
    const sent = await stage.command(await sign(command, signer));

    const [answer, ...others] = await stage.answers();
    expect(others).toEqual([]);
    expect(answer).toMatchObject({
      type: restoreCommandRejected.type,
      source: '/atrest/restore-execution',
      subject: `${signer.clientId}/${command.commandId}`,
      correlationid: sent.correlationid,
      causationid: sent.id,
      data: {
        messageId: sent.id,
        decidedAt: START.toISOString(),
        signedBy: signer.clientId,
        commandId: command.commandId,
        idempotencyKey: command.idempotencyKey,
        source: command.source,
        target: command.target,
        reason: 'RESTORES_NOT_SERVED',
      },
    });
    expect(await stage.record()).toEqual([
      {
        message_id: sent.id,
        account: signer.clientId,
        command_id: command.commandId,
        idempotency_key: command.idempotencyKey,
        digest: expect.stringMatching(/^[0-9a-f]{64}$/),
        issued_at: command.issuedAt,
        outcome: 'rejected',
        reason: 'RESTORES_NOT_SERVED',
        detail: expect.any(String),
        decided_at: START,
      },
    ]);
    expect(await letters()).toEqual([]);
  });

  it.each([
    ['a second', { deliveryType: 'pointInTime', pointInTimeUTCSeconds: 1_795_000_000 }],
    ['an entry of the oplog', { deliveryType: 'pointInTime', oplogTs: 1_795_000_000, oplogInc: 7 }],
  ] as const)('may name a point in time by %s', async (_, delivery) => {
    expect(await reasonOf(await stage.command(await sign(restoreCommand(scene, { delivery }), scene.signer)))).toBe('RESTORES_NOT_SERVED');
  });
});

describe('repetition', () => {
  it('a command sent twice has one effect: redelivered, in another message, and signed anew', async () => {
    const command = restoreCommand(scene);
    const jws = await sign(command, scene.signer);
    const sent = await stage.command(jws);
    await stage.sendAndSettle(sent, sent);
    await stage.command(jws);
    stage.clock.advance(MINUTE);
    await stage.command(await sign({ ...command, issuedAt: stage.clock.now().toISOString() }, scene.signer));
    expect(await stage.answers()).toHaveLength(1);
    expect(await stage.record()).toHaveLength(1);
    expect(await letters()).toEqual([]);
  });

  it('of many copies at once, on two replicas, one is answered', async () => {
    await stage.replica();
    const jws = await sign(restoreCommand(scene), scene.signer);
    await stage.sendAndSettle(...Array.from({ length: 30 }, () => message({ jws })));
    expect(await stage.answers()).toHaveLength(1);
    expect(await stage.record()).toHaveLength(1);
  });

  it('an idempotency key stands for one command of one account', async () => {
    const first = restoreCommand(scene);
    await stage.command(await sign(first, scene.signer));
    const other = restoreCommand(scene, { idempotencyKey: first.idempotencyKey });
    const jws = await sign(other, scene.signer);
    const reused = await stage.command(jws);
    expect(await stage.answerTo(reused)).toMatchObject({ reason: 'IDEMPOTENCY_KEY_REUSED', commandId: other.commandId });
    // The first one still stands for the key.
    await stage.command(await sign(first, scene.signer));
    expect(await stage.answers()).toHaveLength(2);

    const second = await newSigner(newClientId());
    await stage.tell(serviceAccountChanged, accountState(scene.orgId, second, scene.account.grants));
    const sameKey = restoreCommand({ ...scene, signer: second }, { idempotencyKey: first.idempotencyKey });
    expect(await reasonOf(await stage.command(await sign(sameKey, second)))).toBe('RESTORES_NOT_SERVED');
    expect(await letters()).toEqual([]);
  });

  it('F83 a command that was refused for a missing role is not carried out when it is sent again after the role came', async () => {
    await stage.tell(serviceAccountChanged, { ...scene.account, grants: [], revision: 2 });
    const jws = await sign(restoreCommand(scene), scene.signer);
    expect(await reasonOf(await stage.command(jws))).toBe('UNKNOWN_PROJECT');
    await stage.tell(serviceAccountChanged, { ...scene.account, revision: 3 });
    await stage.command(jws);
    const [letter] = await letters();
    await service.messaging.deadLetters.replay(letter!.id);
    await stage.settled();
    expect(await stage.answers()).toHaveLength(1);
  });

  it('F83 a replay weeks later, when even the record is gone, is refused as expired', async () => {
    const jws = await sign(restoreCommand(scene), scene.signer);
    await stage.command(jws);
    stage.clock.advance(100 * 86_400_000);
    await stage.command(await sign(restoreCommand(scene, { issuedAt: stage.clock.now().toISOString() }), scene.signer));
    expect(await stage.record()).toHaveLength(1);
    expect(await reasonOf(await stage.command(jws))).toBe('EXPIRED');
  });
});

describe('time', () => {
  it.each([
    ['15 minutes old', -15 * MINUTE, 'RESTORES_NOT_SERVED'],
    ['older', -15 * MINUTE - 1, 'EXPIRED'],
    ['2 minutes ahead', 2 * MINUTE, 'RESTORES_NOT_SERVED'],
    ['further ahead', 2 * MINUTE + 1, 'EXPIRED'],
    ['of the year 0', Date.parse('0000-01-01T00:00:00.000Z') - START.getTime(), 'EXPIRED'],
  ])('a command that is %s', async (_, offsetMs, reason) => {
    const issuedAt = new Date(START.getTime() + offsetMs).toISOString();
    expect(await reasonOf(await stage.command(await sign(restoreCommand(scene, { issuedAt }), scene.signer)))).toBe(reason);
    expect(await letters()).toEqual([]);
  });
});

describe('signatures', () => {
  const refusedAsUnsigned = async (jws: string, reason = 'INVALID_SIGNATURE'): Promise<void> => {
    const sent = await stage.command(jws);
    expect(await stage.answerTo(sent)).toMatchObject({ reason, ...unknownToTheSender });
    const answer = (await stage.answers()).find(({ data }) => data.messageId === sent.id);
    expect(answer!.subject).toBe(`message/${sent.id}`);
    expect(await letters()).toMatchObject([{ eventId: sent.id, reason: 'REFUSED', detail: expect.stringContaining(reason), attempts: 1 }]);
  };

  it('another key than the registered one', async () => {
    const impostor = { ...(await newSigner(scene.signer.clientId)), kid: scene.signer.kid };
    await refusedAsUnsigned(await sign(restoreCommand(scene), impostor));
  });

  it('a key that is not registered', async () => {
    await refusedAsUnsigned(await sign(restoreCommand(scene), await newSigner(scene.signer.clientId)));
  });

  it('F83 a key that was taken away between sending and handling', async () => {
    const jws = await sign(restoreCommand(scene), scene.signer);
    await stage.tell(serviceAccountChanged, { ...scene.account, signingKeys: [], revision: 2 });
    await refusedAsUnsigned(jws);
  });

  it('a payload that was changed on the way', async () => {
    const [header, payload, signature] = (await sign(restoreCommand(scene), scene.signer)).split('.');
    const changed = Buffer.from(payload!, 'base64url').toString().replace('orders-copy', 'orders-live');
    await refusedAsUnsigned(`${header}.${base64url.encode(changed)}.${signature}`);
  });

  it('none, or a secret that everybody knows (the public key as an HMAC secret)', async () => {
    const claims = base64url.encode(JSON.stringify(restoreCommand(scene)));
    const header = (alg: string) => base64url.encode(JSON.stringify({ alg, kid: scene.signer.kid, typ: RESTORE_COMMAND_JWS_TYPE }));
    await refusedAsUnsigned(`${header('none')}.${claims}.${base64url.encode('x')}`);
    for (const letter of await letters()) await stage.database.query('DELETE FROM dead_letter WHERE id = $1', [letter.id]);
    const input = `${header('HS256')}.${claims}`;
    const mac = createHmac('sha256', JSON.stringify(scene.signer.publicJwk)).update(input).digest('base64url');
    await refusedAsUnsigned(`${input}.${mac}`);
  });

  it('a key in the header counts for nothing', async () => {
    const own = await newSigner(scene.signer.clientId);
    await refusedAsUnsigned(await sign(restoreCommand(scene), { ...own, kid: scene.signer.kid }, { jwk: own.publicJwk }));
  });

  it('a signature made for another purpose', async () => {
    await refusedAsUnsigned(await sign(restoreCommand(scene), scene.signer, { typ: 'JWT' }));
  });

  it('an account that does not exist, and one that was deleted', async () => {
    const stranger = await newSigner(newClientId());
    await refusedAsUnsigned(await sign(restoreCommand({ ...scene, signer: stranger }), stranger), 'UNKNOWN_ACCOUNT');
    await stage.database.query('DELETE FROM dead_letter');
    await stage.tell(serviceAccountChanged, { ...scene.account, deletedAt: START.toISOString(), revision: 2 });
    await refusedAsUnsigned(await sign(restoreCommand(scene), scene.signer), 'UNKNOWN_ACCOUNT');
  });

  it('an account whose last event is from before there were keys for commands', async () => {
    const { signingKeys: _, ...old } = accountState(scene.orgId, await newSigner(newClientId()), scene.account.grants);
    await stage.tell(serviceAccountChanged, old as ServiceAccountState);
    expect(await letters()).toEqual([]);
    const signer = await newSigner(old.clientId);
    await refusedAsUnsigned(await sign(restoreCommand({ ...scene, signer }), signer));
  });

  it('an account that signs in the name of another one', async () => {
    const other = await newSigner(newClientId());
    await stage.tell(serviceAccountChanged, accountState(scene.orgId, other, []));
    const command = restoreCommand(scene);
    const sent = await stage.command(await sign(command, other));
    expect(await stage.answerTo(sent)).toMatchObject({
      reason: 'INVALID_SIGNATURE',
      signedBy: other.clientId,
      commandId: command.commandId,
    });
    // It neither used up the other one's key nor stands in the way of its command.
    expect(await reasonOf(await stage.command(await sign(command, scene.signer)))).toBe('RESTORES_NOT_SERVED');
    expect((await stage.answers()).map(({ subject }) => subject)).toEqual([
      `${other.clientId}/${command.commandId}`,
      `${scene.signer.clientId}/${command.commandId}`,
    ]);
  });
});

describe('authorisation', () => {
  it('F83 the roles that count are those at the time of handling', async () => {
    const jws = await sign(restoreCommand(scene), scene.signer);
    const [inSource] = scene.account.grants;
    const reader = { role: 'GROUP_READ_ONLY' as const, orgId: null, projectId: scene.target.id };
    await stage.tell(serviceAccountChanged, { ...scene.account, grants: [inSource!, reader], revision: 2 });
    const sent = await stage.command(jws);
    expect(await stage.answerTo(sent)).toMatchObject({ reason: 'NOT_AUTHORISED', signedBy: scene.signer.clientId });
    expect(await letters()).toMatchObject([{ eventId: sent.id, reason: 'REFUSED' }]);
  });

  it('a project of another organisation is answered as one that does not exist', async () => {
    const foreign = projectState();
    await stage.tell(projectCreated, foreign);
    await stage.tell(projectCreated, projectState());
    const answers = [];
    for (const projectId of [foreign.id, 'f'.repeat(24)]) {
      const command = restoreCommand(scene, { target: { projectId, clusterName: 'orders' } });
      const { reason, detail } = await stage.answerTo(await stage.command(await sign(command, scene.signer)));
      answers.push({ reason, detail: detail.replace(projectId, '…') });
    }
    expect(answers[0]).toEqual(answers[1]);
    expect(answers[0]!.reason).toBe('UNKNOWN_PROJECT');
  });

  it('deleted projects and clusters', async () => {
    const cluster = clusterState(scene.target.id, 'old');
    await stage.tell(clusterDeleted, { ...cluster, deletedAt: START.toISOString() });
    const intoDeleted = restoreCommand(scene, { target: { projectId: scene.target.id, clusterName: 'old' } });
    expect(await reasonOf(await stage.command(await sign(intoDeleted, scene.signer)))).toBe('UNKNOWN_CLUSTER');
    const fromDeleted = restoreCommand({ ...scene, source: scene.target }, { source: { projectId: scene.target.id, clusterName: 'old' } });
    expect(await reasonOf(await stage.command(await sign(fromDeleted, scene.signer)))).toBe('RESTORES_NOT_SERVED');
    await stage.tell(projectDeleted, { ...scene.target, deletedAt: START.toISOString(), revision: 2 });
    expect(await reasonOf(await stage.command(await sign(restoreCommand(scene), scene.signer)))).toBe('UNKNOWN_PROJECT');
  });
});

describe('what is no command', () => {
  it.each([
    ['text that is no JSON', 'hello', {}],
    ['nothing', undefined, {}],
    ['another member', { jws: 'a.b.c', command: {} }, {}],
    ['no JWS', { jws: 'hello' }, {}],
    ['a number', { jws: 1 }, {}],
    ['too much', { jws: `a.${'b'.repeat(20_000)}.c` }, {}],
    ['a JWS whose header is no JSON', { jws: 'aGVsbG8.e30.x' }, {}],
    ['another type', { jws: 'a.b.c' }, { type: 'io.atrest.restore-command.demanded.v1' }],
    ['an event of Atrest on this topic', {}, { type: projectCreated.type }],
  ])('is answered and parked: %s', async (_, data, attributes) => {
    const sent = message(data, attributes);
    await stage.sendAndSettle(sent);
    expect(await stage.answerTo(sent)).toMatchObject({
      ...unknownToTheSender,
      reason: expect.stringMatching(/^INVALID_(MESSAGE|SIGNATURE)$/),
    });
    const [letter, ...others] = await letters();
    expect(letter).toMatchObject({ eventId: sent.id, topic: topics.restoreCommands.name, reason: 'REFUSED', attempts: 1 });
    expect(others).toEqual([]);
    expect(await stage.record()).toMatchObject([{ message_id: sent.id, account: null, digest: null, outcome: 'rejected' }]);
    // The others are not held up.
    expect(await reasonOf(await stage.command(await sign(restoreCommand(scene), scene.signer)))).toBe('RESTORES_NOT_SERVED');
  });

  it.each([
    ['no JSON', 'hello', null],
    ['another member', { extra: 'SECRET-WORD' }, 'commandId'],
    ['a null character', { idempotencyKey: 'a\0b' }, 'commandId'],
    ['a cluster name with a path', { target: { projectId: 'a'.repeat(24), clusterName: '../x' } }, 'commandId'],
    ['two deliveries', { delivery: { deliveryType: 'pointInTime', pointInTimeUTCSeconds: 1, oplogTs: 1, oplogInc: 1 } }, 'commandId'],
    ['a command id that is none', { commandId: '1' }, null],
  ])('is answered to the account that signed it: %s', async (_, change, idKnown) => {
    const command = restoreCommand(scene);
    const payload = typeof change === 'string' ? change : { ...command, ...change };
    const sent = await stage.command(await sign(payload, scene.signer));
    const answer = await stage.answerTo(sent);
    expect(answer).toMatchObject({
      ...unknownToTheSender,
      reason: 'INVALID_MESSAGE',
      signedBy: scene.signer.clientId,
      commandId: idKnown === null ? null : command.commandId,
    });
    expect(answer.detail).not.toContain('SECRET-WORD');
    expect(await letters()).toHaveLength(1);
  });

  it('is only parked when it has no envelope that could be answered', async () => {
    await stage.sendAndSettle({ ...message({ jws: 'a.b.c' }), id: 'not a uuid' });
    expect(await stage.answers()).toEqual([]);
    expect(await letters()).toMatchObject([{ reason: 'INVALID_ENVELOPE' }]);
  });

  it('is answered once, however often it is delivered or replayed', async () => {
    const sent = message('hello');
    await stage.sendAndSettle(sent, sent);
    const [letter] = await letters();
    expect(await service.messaging.deadLetters.replay(letter!.id)).toBe('replayed');
    await stage.settled();
    expect(await stage.answers()).toHaveLength(1);
    expect(await letters()).toEqual([]);
  });
});

describe('what is on its way', () => {
  it('a command that overtakes the event of its key is tried again, and does not hold that event up', async () => {
    await stage.close();
    stage = await Stage.open('restore commands');
    service = await stage.replica({ projectionWaitMs: 5_000 });
    scene = await stage.scene();
    const late = await newSigner(newClientId());
    // Under the very subject of the event that it waits for.
    const sent = message({ jws: await sign(restoreCommand({ ...scene, signer: late }), late) }, { subject: late.clientId });
    await stage.send(sent);
    await waitFor(async () => (await stage.database.query('SELECT FROM inbox WHERE event_id = $1 AND failed > 0', [sent.id])).length > 0, {
      describe: 'the command to be tried',
    });
    expect(await stage.record()).toEqual([]);
    await stage.tell(serviceAccountChanged, accountState(scene.orgId, late, scene.account.grants));
    expect(await reasonOf(sent)).toBe('RESTORES_NOT_SERVED');
  });

  it('a key that does not come is not waited for longer than that', async () => {
    const { intake } = partsOf(stage, 2_000);
    const unknown = message({ jws: await sign(restoreCommand(scene), await newSigner(scene.signer.clientId)) });
    const attempt = () => stage.database.transaction((tx) => intake.take(unknown, tx));
    await expect(attempt()).rejects.toThrow(NotYetKnownError);
    stage.clock.advance(1_999);
    await expect(attempt()).rejects.toThrow(NotYetKnownError);
    expect(await stage.record()).toEqual([]);
    stage.clock.advance(1);
    expect(await attempt()).toMatchObject({ detail: expect.stringContaining('INVALID_SIGNATURE') });
  });
});

/** The parts of the service, to be called without its messaging. */
function partsOf({ database, clock }: Stage, waitMs: number) {
  const [clusters, projects, commands] = [new ClusterProjection(), new ProjectProjection(), new RestoreCommandRepository()];
  const publisher = new EventPublisher('restore-execution', clock);
  const logger = createLogger({ service: 'test', level: 'silent' });
  const answers = new CommandAnswers({ commands, publisher, metrics: new Metrics(), clock, logger });
  const access = new AccessStore(database, clock);
  const intake = new CommandIntake({ access, projects, clusters, commands, answers, patience: new Patience(waitMs, clock), clock });
  return { clusters, projects, intake };
}

it('no handler does anything when it sees an event again', async () => {
  const { projects, clusters, intake } = partsOf(stage, 0);
  const state = () =>
    stage.database.query(
      'SELECT to_json(p) AS row FROM project p UNION ALL SELECT to_json(c) FROM cluster c UNION ALL SELECT to_json(r) FROM restore_command r UNION ALL SELECT envelope FROM outbox',
    );
  const project = projectState();
  const signed = message({ jws: await sign(restoreCommand(scene), scene.signer) });
  const events: [EventHandler, EventEnvelope][] = [
    ...projectionHandlers({ projects, clusters }).map((handler): [EventHandler, EventEnvelope] => {
      const data = handler.definition.topic === topics.projects ? project : clusterState(project.id, 'any');
      return [handler, message({ ...data, revision: 2 }, { type: handler.definition.type })];
    }),
    [intake.handler(), signed],
    [intake.handler(), message('hello')],
  ];
  for (const [handler, event] of events) {
    await stage.database.transaction((tx) => handler.handle(event, tx));
    const once = await state();
    expect(await stage.database.transaction((tx) => handler.handle(event, tx))).toBeUndefined();
    expect(await state()).toEqual(once);
  }
  expect(await stage.record()).toHaveLength(2);
});

it('nothing of a command but names and outcomes is logged', async () => {
  const command = restoreCommand(scene, { idempotencyKey: `key-${randomUUID()}` });
  const jws = await sign(command, scene.signer);
  await stage.command(jws);
  const logged = stage.logLines.join('');
  expect(logged).toContain(command.commandId);
  expect(logged).not.toContain(jws.split('.')[1]);
  expect(logged).not.toContain(jws.split('.')[2]);
});
