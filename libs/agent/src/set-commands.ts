import { connect } from 'node:net';
import type { CommandFailure, CommandOutcome, MongodAddress } from '@atrest/mongod';
import { deserialize, serialize, type Document } from 'bson';

/** Time for a command that the set has to agree on; a reconfiguration waits for a majority. */
const LIMIT_MS = 20_000;
/** How long a primary that steps down waits for another member to catch up, and how long it is no candidate afterwards; the server's own defaults. */
const CATCH_UP_SECONDS = 10;
const NO_CANDIDATE_SECONDS = 60;
/** A configuration of fifty members is below 32 KiB. */
const REPLY_LIMIT = 1024 * 1024;
const OP_MSG = 2013;
const HEADER_BYTES = 16;

class UnreachableError extends Error {}

/** The configuration of a replica set as its primary has it. Needs a right where there is access control. */
export async function setConfiguration(address: MongodAddress): Promise<CommandOutcome<Document>> {
  const outcome = await command(address, { replSetGetConfig: 1 });
  return outcome.ok ? { ok: true, value: outcome.value['config'] as Document } : outcome;
}

/** Gives the set another configuration; refused unless its version is the next one, so that an order that comes twice does no harm. */
export const reconfigure = (address: MongodAddress, configuration: Document): Promise<CommandOutcome<Document>> =>
  command(address, { replSetReconfig: configuration, maxTimeMS: LIMIT_MS - 1_000 });

/** Has a primary hand over to another member. Refused when none catches up in time: the primary stays. */
export const stepDown = (address: MongodAddress): Promise<CommandOutcome<Document>> =>
  command(address, { replSetStepDown: NO_CANDIDATE_SECONDS, secondaryCatchUpPeriodSecs: CATCH_UP_SECONDS });

/** `host:port` of every member that is not hidden, as any member tells everybody. */
export async function setHosts(address: MongodAddress): Promise<CommandOutcome<string[]>> {
  const outcome = await command(address, { hello: 1 });
  if (!outcome.ok) return outcome;
  return { ok: true, value: ['hosts', 'passives', 'arbiters'].flatMap((kind) => (outcome.value[kind] as string[] | undefined) ?? []) };
}

/** One command on a connection of its own: these are rare, and a step-down may close every connection of the server. */
async function command(address: MongodAddress, document: Document): Promise<CommandOutcome<Document>> {
  try {
    const reply = await exchange(address, serialize({ ...document, $db: 'admin' }));
    return Number(reply['ok']) === 1 ? { ok: true, value: reply } : { ok: false, failure: failureOf(reply) };
  } catch (error) {
    if (!(error instanceof UnreachableError)) throw error;
    return { ok: false, failure: { kind: 'unreachable', code: null, message: error.message } };
  }
}

function failureOf(reply: Document): CommandFailure {
  const code = typeof reply['code'] === 'number' ? reply['code'] : null;
  return { kind: code === 13 || code === 18 ? 'unauthorized' : 'other', code, message: String(reply['errmsg'] ?? 'no reason given') };
}

function exchange({ host, port }: MongodAddress, body: Uint8Array): Promise<Document> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: host.replace(/^\[|\]$/g, ''), port });
    const fail = (reason: string): void => {
      socket.destroy();
      reject(new UnreachableError(reason));
    };
    socket.setTimeout(LIMIT_MS, () => fail('the server did not answer in time'));
    socket.once('error', (error) => fail(error.message));
    socket.once('close', () => fail('the server closed the connection'));
    socket.once('connect', () => socket.write(messageOf(body)));
    let received = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      const length = received.length >= HEADER_BYTES ? received.readInt32LE(0) : Infinity;
      if (received.length > REPLY_LIMIT) fail('the answer of the server is too large');
      if (received.length < length) return;
      socket.destroy();
      // Flags and the kind of the one section stand between header and document.
      resolve(deserialize(received.subarray(HEADER_BYTES + 5, length)));
    });
  });
}

function messageOf(body: Uint8Array): Buffer {
  const head = Buffer.alloc(HEADER_BYTES + 5);
  head.writeInt32LE(head.length + body.length, 0);
  head.writeInt32LE(1, 4);
  head.writeInt32LE(OP_MSG, 12);
  return Buffer.concat([head, body]);
}
