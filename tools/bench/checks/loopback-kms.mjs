// AWS KMS as cheap as it can be answered, so that what is measured is the asking: a process of its own that reads just enough HTTP to find the
// requests of a connection, checks no signature and keeps no keys. A ciphertext here is `atrest-bench:` and the plaintext itself.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:net';

const PREFIX = Buffer.from('atrest-bench:');
const HEAD_END = Buffer.from('\r\n\r\n');

/** Requests answered so far, by operation. */
const answered = {};

const answers = {
  Decrypt: ({ KeyId, CiphertextBlob }) => ({
    KeyId,
    Plaintext: Buffer.from(CiphertextBlob, 'base64').subarray(PREFIX.length).toString('base64'),
    EncryptionAlgorithm: 'SYMMETRIC_DEFAULT',
  }),
  Encrypt: ({ KeyId, Plaintext }) => ({
    KeyId,
    CiphertextBlob: Buffer.concat([PREFIX, Buffer.from(Plaintext, 'base64')]).toString('base64'),
    EncryptionAlgorithm: 'SYMMETRIC_DEFAULT',
  }),
  DescribeKey: ({ KeyId }) => ({
    KeyMetadata: {
      Arn: KeyId,
      KeyId: KeyId.slice(KeyId.lastIndexOf('/') + 1),
      KeyState: 'Enabled',
      Enabled: true,
      KeyUsage: 'ENCRYPT_DECRYPT',
      KeySpec: 'SYMMETRIC_DEFAULT',
      CreationDate: 1_700_000_000,
      Origin: 'AWS_KMS',
      KeyManager: 'CUSTOMER',
    },
  }),
  GetKeyRotationStatus: ({ KeyId }) => ({ KeyId, KeyRotationEnabled: true, RotationPeriodInDays: 365 }),
};

function answer(head, body) {
  const operation = /x-amz-target: TrentService\.(\w+)/i.exec(head)?.[1];
  const reply = answers[operation];
  if (reply === undefined) throw new Error(`no operation ${operation}`);
  answered[operation] = (answered[operation] ?? 0) + 1;
  const text = JSON.stringify(reply(JSON.parse(body)));
  return (
    `HTTP/1.1 200 OK\r\nx-amzn-RequestId: ${randomUUID()}\r\nContent-Type: application/x-amz-json-1.1\r\n` +
    `Date: ${new Date().toUTCString()}\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`
  );
}

let connections = 0;
const server = createServer({ noDelay: true }, (socket) => {
  connections += 1;
  let waiting = Buffer.alloc(0);
  socket.on('error', () => socket.destroy());
  socket.on('data', (part) => {
    waiting = waiting.length === 0 ? part : Buffer.concat([waiting, part]);
    for (;;) {
      const end = waiting.indexOf(HEAD_END);
      if (end === -1) return;
      const head = waiting.toString('latin1', 0, end);
      const from = end + HEAD_END.length;
      const to = from + Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
      if (waiting.length < to) return;
      socket.write(answer(head, waiting.toString('utf8', from, to)));
      waiting = waiting.subarray(to);
    }
  });
});
server.listen(0, '127.0.0.1', () => process.send({ ready: true, url: `http://127.0.0.1:${server.address().port}` }));
process.on('message', ({ id }) => process.send({ id, result: { answered, connections } }));
process.on('disconnect', () => process.exit());
