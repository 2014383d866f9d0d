import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { KmipAuthority, simExecutables } from '@atrest/testing';
import { BSON, type Document } from 'mongodb';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { MongodConnection, type ConnectionTls, type Login } from './connection.js';
import { MongodHarness } from './mongod-harness.contract.js';

const harness = new MongodHarness({ ...simExecutables(), extraArguments: ['--setParameter', 'simFast=true'], env: {} });
const servers: Server[] = [];
const sockets = new Set<Socket>();
const connections: MongodConnection[] = [];
let authority: KmipAuthority;

beforeAll(async () => {
  await harness.open();
  authority = await KmipAuthority.create();
});
afterEach(async () => {
  for (const connection of connections.splice(0)) await connection.close();
  for (const socket of sockets) socket.destroy();
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
  await harness.killAll();
});
afterAll(() => harness.close());

async function listen(server: Server): Promise<number> {
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

/** The TLS side of a server, as far as a client can tell. */
async function tlsServer(o: { addresses?: string[]; asksForCertificate?: boolean }, serve: (socket: TLSSocket) => void): Promise<number> {
  const { certificate, key } = await authority.server({ names: ['localhost'], addresses: o.addresses ?? ['127.0.0.1'] });
  const asks = o.asksForCertificate === true;
  const options = { cert: certificate, key, ...(asks && { ca: authority.certificate, requestCert: true, rejectUnauthorized: true }) };
  const server = createTlsServer(options, (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    serve(socket);
  });
  server.on('tlsClientError', () => undefined);
  return listen(server);
}

/** What is not expected to answer is not waited for as long as what is. */
function open(port: number, tls: ConnectionTls | null, logins: readonly Login[] = [], timeoutMs = 20_000): MongodConnection {
  const connection = new MongodConnection({ host: '127.0.0.1', port, tls, logins, timeoutMs });
  connections.push(connection);
  return connection;
}

describe('a connection with TLS', () => {
  it('reaches a server whose certificate its authority signed for the address, and no other', async () => {
    const { port } = await harness.startReady(await harness.goal());
    const forward = (socket: TLSSocket): void => {
      const inner = connect(port, '127.0.0.1');
      sockets.add(inner);
      inner.on('error', () => undefined);
      socket.pipe(inner).pipe(socket);
    };
    const [right, elsewhere] = [await tlsServer({}, forward), await tlsServer({ addresses: ['192.0.2.1'] }, forward)];
    const tls = { ca: authority.certificate, certificate: null };
    expect(await open(right, tls).hello()).toMatchObject({ ok: true, value: { kind: 'standalone' } });
    expect(await open(right, tls).run('admin', { ping: 1 })).toMatchObject({ ok: true });

    const stranger = await KmipAuthority.create('of somebody else');
    for (const [where, with_] of [
      [right, { ...tls, ca: stranger.certificate }],
      [elsewhere, tls],
      [port, tls],
      [right, null],
    ] as const) {
      expect(await open(where, with_, [], 1_000).hello()).toMatchObject({ ok: false, failure: { kind: 'unreachable' } });
    }
  });

  it('logs in as the holder of its certificate, which the server is shown before anything else', async () => {
    const holder = await authority.client('agent');
    const seen: Document[] = [];
    const port = await tlsServer({ asksForCertificate: true }, (socket) => {
      let isKnown = false;
      answer(socket, (command) => {
        if ('authenticate' in command || 'authenticate' in ((command['speculativeAuthenticate'] ?? {}) as Document)) {
          seen.push({ ...command, subject: socket.getPeerCertificate().subject.CN });
          isKnown = true;
        }
        if ('hello' in command || 'ismaster' in command) {
          const isNow = command['speculativeAuthenticate'] === undefined ? {} : { speculativeAuthenticate: { dbname: '$external' } };
          return {
            ok: 1,
            isWritablePrimary: true,
            helloOk: true,
            maxWireVersion: 21,
            minWireVersion: 0,
            maxBsonObjectSize: 16_777_216,
            ...isNow,
          };
        }
        return isKnown || 'authenticate' in command ? { ok: 1 } : { ok: 0, code: 13, errmsg: 'requires authentication' };
      });
    });
    const tls = { ca: authority.certificate, certificate: `${holder.certificate}\n${holder.key}` };
    const connection = open(port, tls, [{ kind: 'x509' }]);
    expect(await connection.hello()).toMatchObject({ ok: true });
    expect(await connection.ping()).toEqual({ ok: true, value: undefined });
    expect(connection.login).toEqual({ kind: 'x509' });
    expect(seen.map((command) => command['subject'])).toContain('agent');

    expect(await open(port, tls).ping()).toMatchObject({ ok: false, failure: { kind: 'unauthorized' } });
    expect(await open(port, { ...tls, certificate: null }, [{ kind: 'x509' }], 1_000).ping()).toMatchObject({
      failure: { kind: 'unreachable' },
    });
  });
});

it('what is asked after its end is unreachable, with and without a login', async () => {
  const port = await listen(createServer());
  const login: Login = { kind: 'password', username: 'a', password: 'b', authSource: 'admin' };
  for (const logins of [[], [login]]) {
    const connection = open(port, null, logins);
    await connection.close();
    expect(await connection.ping()).toMatchObject({ ok: false, failure: { kind: 'unreachable' } });
  }
});

/** Answers each OP_MSG, as far as clients of this suite send them. */
function answer(socket: TLSSocket, reply: (command: Document) => Document): void {
  let pending = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= 16 && pending.length >= pending.readInt32LE(0)) {
      const message = pending.subarray(0, pending.readInt32LE(0));
      pending = pending.subarray(message.length);
      const isQuery = message.readInt32LE(12) === 2004;
      // OP_QUERY: flags, a name that ends with 0, two numbers. OP_MSG: flags and the kind of the section.
      const start = isQuery ? message.indexOf(0, 20) + 9 : 21;
      const body = BSON.serialize(reply(BSON.deserialize(message.subarray(start, start + message.readInt32LE(start)))));
      const head = Buffer.alloc(isQuery ? 36 : 21);
      head.writeInt32LE(head.length + body.length, 0);
      head.writeInt32LE(message.readInt32LE(4), 8);
      head.writeInt32LE(isQuery ? 1 : 2013, 12);
      if (isQuery) head.writeInt32LE(1, 32);
      socket.write(Buffer.concat([head, body]));
    }
  });
}
