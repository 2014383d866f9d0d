import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { commandKid, newObjectId, serviceAccountChanged, type EventEnvelope, type PublicJwk, type RestoreCommand } from '@atrest/contracts';
import { calculateJwkThumbprint, type JWK } from 'jose';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Stage } from './test-support/stage.contract.js';

/** What docs/how-to tells other teams to do, as its own code. */
interface Example {
  newSigningKey(): Promise<{ privateJwk: JWK; publicJwk: JWK }>;
  restoreCommand(
    o: Pick<RestoreCommand, 'source' | 'target' | 'idempotencyKey'> & { clientId: string; snapshotId: string },
  ): RestoreCommand;
  signCommand(command: RestoreCommand, privateJwk: JWK): Promise<string>;
  kafkaMessage(command: RestoreCommand, jws: string): { key: string; value: string; headers: Record<string, string> };
}

const howTo = new URL('../../../docs/how-to/', import.meta.url);
const exampleFile = fileURLToPath(new URL('publish-a-restore-command.mjs', howTo));

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open('how to');
  await stage.replica();
});
afterAll(async () => {
  await stage?.close();
});

/** As a consumer of Kafka reads it. */
function envelopeOf({ value, headers }: ReturnType<Example['kafkaMessage']>): EventEnvelope {
  const attributes = Object.entries(headers).map(([name, text]) => [
    name.replace(/^ce_/, '').replace('content-type', 'datacontenttype'),
    text,
  ]);
  return { ...Object.fromEntries(attributes), data: JSON.parse(value) } as EventEnvelope;
}

it('the page shows the code that is tested here', async () => {
  const page = await readFile(new URL('publish-a-restore-command.md', howTo), 'utf8');
  expect(page).toContain(`\`\`\`js\n${await readFile(exampleFile, 'utf8')}\`\`\``);
});

it('a command made, signed and wrapped as the page says passes every check', async () => {
  const example = (await import(exampleFile)) as Example;
  const { source, target, account } = await stage.scene();
  const { privateJwk, publicJwk } = await example.newSigningKey();
  const { clientId } = account;
  const key = { kid: commandKid(clientId, await calculateJwkThumbprint(publicJwk)), publicJwk: publicJwk as PublicJwk };
  await stage.tell(serviceAccountChanged, { ...account, signingKeys: [key], revision: 2 });

  const command = example.restoreCommand({
    clientId,
    source: { projectId: source.id, clusterName: 'orders' },
    target: { projectId: target.id, clusterName: 'orders-copy' },
    snapshotId: newObjectId(),
    idempotencyKey: 'nightly-copy-2026-11-23',
  });
  // The page's code takes the time of the machine.
  stage.clock.set(new Date(command.issuedAt));
  const sent = envelopeOf(example.kafkaMessage(command, await example.signCommand(command, privateJwk)));
  await stage.sendAndSettle(sent);
  expect(await stage.answerTo(sent)).toMatchObject({ reason: 'RESTORES_NOT_SERVED', signedBy: clientId, commandId: command.commandId });
});
