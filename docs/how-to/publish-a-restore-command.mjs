import { randomUUID } from 'node:crypto';
import { calculateJwkThumbprint, CompactSign, exportJWK, generateKeyPair, importJWK } from 'jose';

/** Once: a key of your own. The private half goes into your secret store, the public half to Atrest. */
export async function newSigningKey() {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  return { privateJwk: await exportJWK(privateKey), publicJwk: await exportJWK(publicKey) };
}

/** A command that replaces what is in the target by a snapshot of the source. */
export function restoreCommand({ clientId, source, target, snapshotId, idempotencyKey }) {
  return {
    commandId: randomUUID(),
    idempotencyKey,
    issuedAt: new Date().toISOString(),
    actingServiceAccount: clientId,
    source,
    target,
    delivery: { deliveryType: 'automated', snapshotId },
  };
}

/** The command as a compact JWS, signed by the service account that it names. */
export async function signCommand(command, privateJwk) {
  const kid = `${command.actingServiceAccount}#${await calculateJwkThumbprint(privateJwk)}`;
  return new CompactSign(new TextEncoder().encode(JSON.stringify(command)))
    .setProtectedHeader({ alg: 'ES256', typ: 'atrest-restore-command+jws', kid })
    .sign(await importJWK(privateJwk, 'ES256'));
}

/** The JWS as a CloudEvents message for Kafka, in binary mode. */
export function kafkaMessage(command, jws) {
  return {
    key: command.commandId,
    value: JSON.stringify({ jws }),
    headers: {
      'content-type': 'application/json',
      ce_specversion: '1.0',
      ce_id: randomUUID(),
      ce_source: '/payments/nightly-copy',
      ce_type: 'io.atrest.restore-command.requested.v1',
      ce_subject: command.commandId,
      ce_time: new Date().toISOString(),
      ce_correlationid: command.commandId,
    },
  };
}
