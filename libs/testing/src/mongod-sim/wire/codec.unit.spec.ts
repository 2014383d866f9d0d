import { Double, Int32, Long, ObjectId } from 'bson';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Doc, encodeDocument } from '../bson-values.js';
import { MAX_MESSAGE_BYTES, MessageSplitter, WireError, decodeReply, decodeRequest, encodeMsg, encodeReply } from './codec.js';
import { crc32c } from './crc32c.js';

const IDS = { requestId: 7, responseTo: 3 };

function request(command: Doc, flags: Parameters<typeof encodeMsg>[2] = {}): Buffer {
  return encodeMsg({ ...command, $db: 'admin' }, IDS, flags);
}

function withSequence(body: Doc, name: string, documents: Doc[], sizeError = 0): Buffer {
  const base = request(body);
  const encoded = documents.map((document) => Buffer.from(encodeDocument(document)));
  const head = Buffer.from(`\u0001\0\0\0\0${name}\0`);
  const section = Buffer.concat([head, ...encoded]);
  section.writeInt32LE(section.length - 1 + sizeError, 1);
  const message = Buffer.concat([base, section]);
  message.writeInt32LE(message.length, 0);
  return message;
}

function query(database: string, command: Doc): Buffer {
  const message = Buffer.concat([
    Buffer.alloc(16),
    Buffer.from([4, 0, 0, 0]),
    Buffer.from(`${database}.$cmd\0`),
    Buffer.from([0, 0, 0, 0, 255, 255, 255, 255]),
    encodeDocument(command),
  ]);
  message.writeInt32LE(message.length, 0);
  message.writeInt32LE(9, 4);
  message.writeInt32LE(2004, 12);
  return message;
}

describe('the wire codec', () => {
  it('reads a command back as it was written, types included', () => {
    const command = {
      find: 'x',
      a: new Int32(1),
      b: new Double(1),
      c: Long.fromString('9007199254740993'),
      d: new ObjectId(),
      e: [true, null, 'text'],
    };
    for (const checksum of [false, true]) {
      const decoded = decodeRequest(request(command, { checksum, exhaustAllowed: true, moreToCome: true }));
      expect(decoded).toMatchObject({ requestId: 7, database: 'admin', moreToCome: true, exhaustAllowed: true, form: 'msg' });
      expect(decoded.command).toEqual({ ...command, $db: 'admin' });
    }
    expect(decodeReply(encodeMsg({ ok: new Int32(1) }, IDS))).toEqual({ responseTo: 3, document: { ok: new Int32(1) }, moreToCome: false });
  });

  it('puts document sequences into the command', () => {
    const documents = [{ _id: new Int32(1) }, { _id: new Int32(2) }];
    expect(decodeRequest(withSequence({ insert: 'x' }, 'documents', documents)).command).toEqual({ insert: 'x', $db: 'admin', documents });
    expect(() => decodeRequest(withSequence({ insert: 'x', documents: [] }, 'documents', documents))).toThrow(WireError);
    expect(() => decodeRequest(withSequence({ insert: 'x' }, 'documents', documents, 1))).toThrow(WireError);
    expect(() => decodeRequest(withSequence({ insert: 'x' }, 'documents', documents, -3))).toThrow(WireError);
  });

  it('reads the OP_QUERY of a first hello and answers it with OP_REPLY', () => {
    expect(decodeRequest(query('admin', { isMaster: 1, helloOk: true }))).toMatchObject({
      form: 'query',
      requestId: 9,
      database: 'admin',
      command: { helloOk: true },
    });
    expect(decodeRequest(query('admin', { $query: { isMaster: 1 }, $readPreference: {} })).command).toEqual({ isMaster: new Int32(1) });
    const reply = encodeReply({ ok: 1 }, IDS);
    expect([reply.readInt32LE(0), reply.readInt32LE(8), reply.readInt32LE(12), reply.readInt32LE(32)]).toEqual([reply.length, 3, 1, 1]);
  });

  it('refuses wrong checksums, unknown required flags, unknown opcodes and lengths that lie', () => {
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
    const spoilt = request({ ping: 1 }, { checksum: true });
    spoilt[25] = (spoilt[25] ?? 0) ^ 1;
    const flagged = request({ ping: 1 });
    flagged.writeUInt32LE(1 << 5, 16);
    const optional = request({ ping: 1 });
    optional.writeUInt32LE((1 << 30) >>> 0, 16);
    const compressed = request({ ping: 1 });
    compressed.writeInt32LE(2012, 12);
    const lying = request({ ping: 1 });
    lying.writeInt32LE(1 << 24, 21);
    for (const bytes of [spoilt, flagged, compressed, lying, encodeMsg({ ping: 1 }, IDS)])
      expect(() => decodeRequest(bytes)).toThrow(WireError);
    expect(decodeRequest(optional).command).toMatchObject({ $db: 'admin' });
  });

  it('throws nothing but WireError, whatever the bytes', () => {
    const valid = [
      request({ ping: 1, nested: { a: [1, { b: 'x' }] } }),
      withSequence({ insert: 'x' }, 'documents', [{ a: 1 }]),
      query('admin', { isMaster: 1 }),
    ];
    const mutated = fc
      .record({
        base: fc.constantFrom(...valid),
        changes: fc.array(fc.record({ at: fc.nat(), byte: fc.nat(255) }), { maxLength: 6 }),
        cut: fc.nat(40),
      })
      .map(({ base, changes, cut }) => {
        const bytes = Buffer.from(base.subarray(0, base.length - Math.min(cut, base.length - 16)));
        for (const { at, byte } of changes) bytes[at % bytes.length] = byte;
        bytes.writeInt32LE(bytes.length, 0);
        return bytes;
      });
    const decodes = (bytes: Buffer): void => {
      for (const decode of [decodeRequest, decodeReply]) {
        try {
          decode(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(WireError);
        }
      }
    };
    fc.assert(fc.property(mutated, decodes), { numRuns: 2000 });
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => decodes(Buffer.from(bytes))));
  });

  it('survives nesting that is meant to exhaust the stack', () => {
    const depth = 200_000;
    const open = Buffer.concat([
      Buffer.from([0, 0, 0, 0]),
      ...Array.from({ length: depth }, () => Buffer.from([3, 97, 0, 0, 0, 0, 0])),
      Buffer.alloc(depth + 1),
    ]);
    for (let level = 0; level <= depth; level += 1) open.writeInt32LE(open.length - level * 8, level === 0 ? 0 : 4 + (level - 1) * 7 + 3);
    const message = Buffer.concat([Buffer.alloc(21), open]);
    message.writeInt32LE(message.length, 0);
    message.writeInt32LE(2013, 12);
    expect(() => decodeRequest(message)).toThrow(WireError);
  });

  it('cuts a stream into the same messages, however it arrives', () => {
    const messages = [request({ ping: 1 }), request({ hello: 1, client: { name: 'x'.repeat(300) } }), query('admin', { isMaster: 1 })];
    const stream = Buffer.concat(messages);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 80 }), { minLength: 1, maxLength: 40 }), (sizes) => {
        const splitter = new MessageSplitter();
        const found: Buffer[] = [];
        let offset = 0;
        for (let index = 0; offset < stream.length; index += 1) {
          const size = sizes[index % sizes.length] ?? 1;
          found.push(...splitter.push(stream.subarray(offset, offset + size)));
          offset += size;
        }
        expect(found.map((bytes) => bytes.toString('hex'))).toEqual(messages.map((bytes) => bytes.toString('hex')));
      }),
    );
    for (const length of [-1, 0, 15, MAX_MESSAGE_BYTES + 1]) {
      const bytes = Buffer.alloc(16);
      bytes.writeInt32LE(length, 0);
      expect(() => new MessageSplitter().push(bytes)).toThrow(WireError);
    }
  });
});
