import { createServer, type AddressInfo, type Server } from 'node:net';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { afterEach, describe, expect, it } from 'vitest';
import { TEST_CERTIFICATE } from '../test-support/certificate.contract.js';
import type { OutgoingMail } from './mail-transport.js';
import { SmtpMailTransport, SmtpUrlError, type SmtpOptions } from './smtp-mail-transport.js';

const RECIPIENTS = ['Ann@Example.com', 'bob@bücher.example', 'carol@example.com'];

describe('SMTP transport', () => {
  const closers: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0)) await close();
  });

  async function server(options: SMTPServerOptions): Promise<{ port: number; received: string[][]; raw: string[] }> {
    const received: string[][] = [];
    const raw: string[] = [];
    const smtp = new SMTPServer({
      logger: false,
      disableReverseLookup: true,
      authOptional: true,
      closeTimeout: 50,
      onData: (stream, session, callback) => {
        const chunks: Buffer[] = [];
        stream.on('data', (chunk: Buffer) => chunks.push(chunk));
        stream.on('end', () => {
          received.push(session.envelope.rcptTo.map(({ address }) => address));
          raw.push(Buffer.concat(chunks).toString());
          callback();
        });
      },
      ...options,
    });
    smtp.on('error', () => undefined);
    await new Promise<void>((resolve) => {
      smtp.listen(0, '127.0.0.1', resolve);
    });
    closers.push(() => new Promise<void>((resolve) => smtp.close(() => resolve())));
    return { port: (smtp.server.address() as AddressInfo).port, received, raw };
  }

  function transport(url: string, options: Partial<SmtpOptions> = {}): SmtpMailTransport {
    const made = new SmtpMailTransport({ url, connectionTimeoutMs: 5_000, silenceTimeoutMs: 5_000, ...options });
    closers.push(() => made.close());
    return made;
  }

  const mail: OutgoingMail = {
    messageId: '6ab3c0ffee65f0c0ffee65f0@atrest.example',
    date: new Date('2026-11-23T12:00:00Z'),
    from: 'Atrest <atrest@atrest.example>',
    to: RECIPIENTS,
    recipients: RECIPIENTS,
    subject: 'Subject – ünïcode',
    text: 'text',
    html: '<p>html</p>',
  };
  const outcomes = async (sender: SmtpMailTransport, message = mail): Promise<string[]> => {
    const results = await sender.send(message);
    expect(results.map(({ address }) => address)).toEqual([...message.recipients]);
    return results.map(({ outcome }) => outcome);
  };
  const refusing = (codes: Record<string, number>): SMTPServerOptions => ({
    disabledCommands: ['STARTTLS', 'AUTH'],
    onRcptTo: ({ address }, _, callback) => {
      const responseCode = codes[address.split('@')[0]?.toLowerCase() ?? ''];
      callback(responseCode === undefined ? null : Object.assign(new Error('not now'), { responseCode }));
    },
  });

  it('delivers to the asked recipients under a stable message id, with everybody in the header', async () => {
    const { port, received, raw } = await server(refusing({}));
    const sender = transport(`smtp://127.0.0.1:${port}`);
    expect(await outcomes(sender)).toEqual(['accepted', 'accepted', 'accepted']);
    expect(await outcomes(sender, { ...mail, recipients: ['carol@example.com'] })).toEqual(['accepted']);
    expect(received.map((recipients) => recipients.length)).toEqual([3, 1]);
    for (const source of raw) {
      expect(source).toContain('Message-ID: <6ab3c0ffee65f0c0ffee65f0@atrest.example>');
      expect(source).toContain('Date: Mon, 23 Nov 2026 12:00:00 +0000');
      expect(source).toMatch(/^To: .*Ann@example\.com.*carol@example\.com/ms);
      expect(source).toContain('Auto-Submitted: auto-generated');
    }
  });

  it('tells apart who was accepted, refused for good and deferred, whatever the spelling of the address', async () => {
    const { port, received } = await server(refusing({ ann: 550, bob: 451 }));
    expect(await outcomes(transport(`smtp://127.0.0.1:${port}`))).toEqual(['refused', 'deferred', 'accepted']);
    expect(received).toHaveLength(1);
    const nobody = await server(refusing({ ann: 550, bob: 451, carol: 452 }));
    const results = await transport(`smtp://127.0.0.1:${nobody.port}`).send(mail);
    expect(results.map(({ outcome }) => outcome)).toEqual(['refused', 'deferred', 'deferred']);
    expect(results[0]?.answer).toBe('550 not now');
  });

  it.each([
    [552, 'refused'],
    [451, 'deferred'],
  ])('takes %i after the message as an answer about the message', async (responseCode, expected) => {
    const { port } = await server({
      ...refusing({}),
      onData: (stream, _, callback) => {
        stream.resume();
        stream.on('end', () => callback(Object.assign(new Error('no'), { responseCode })));
      },
    });
    expect(await outcomes(transport(`smtp://127.0.0.1:${port}`))).toEqual([expected, expected, expected]);
  });

  it('keeps the message when the sender, the credentials or the connection are refused', async () => {
    const sender = await server({
      ...refusing({}),
      onMailFrom: (_, __, callback) => callback(Object.assign(new Error('who are you'), { responseCode: 553 })),
    });
    const deferred = ['deferred', 'deferred', 'deferred'];
    expect(await outcomes(transport(`smtp://127.0.0.1:${sender.port}`))).toEqual(deferred);
    const guarded = await server({
      allowInsecureAuth: true,
      disabledCommands: ['STARTTLS'],
      onAuth: (_, __, callback) => callback(new Error('wrong')),
    });
    const results = await transport(`smtp://user:secret-password@127.0.0.1:${guarded.port}`).send(mail);
    expect(results.map(({ outcome }) => outcome)).toEqual(deferred);
    expect(JSON.stringify(results)).not.toContain('secret-password');
    const closed = await server({ onConnect: (_, callback) => callback(Object.assign(new Error('go away'), { responseCode: 554 })) });
    expect(await outcomes(transport(`smtp://127.0.0.1:${closed.port}`))).toEqual(deferred);
  });

  it('keeps the message when nobody listens, and when a server accepts and then says nothing', async () => {
    const silent: Server = createServer();
    await new Promise<void>((resolve) => {
      silent.listen(0, '127.0.0.1', resolve);
    });
    const { port } = silent.address() as AddressInfo;
    expect(new Set(await outcomes(transport(`smtp://127.0.0.1:${port}`, { silenceTimeoutMs: 200 })))).toEqual(new Set(['deferred']));
    await new Promise((resolve) => {
      silent.close(resolve);
    });
    expect(new Set(await outcomes(transport(`smtp://127.0.0.1:${port}`)))).toEqual(new Set(['deferred']));
  });

  it('uses TLS with a certificate it can verify and nothing else, and logs in only then', async () => {
    const { key, cert } = TEST_CERTIFICATE;
    const logins: string[] = [];
    const options: SMTPServerOptions = {
      key,
      cert,
      onAuth: (auth, session, callback) => {
        logins.push(`${auth.username} ${session.secure}`);
        callback(null, { user: auth.username ?? '' });
      },
    };
    const startTls = await server(options);
    const implicit = await server({ ...options, secure: true });
    for (const url of [`smtp://user:pass@127.0.0.1:${startTls.port}`, `smtps://user:pass@127.0.0.1:${implicit.port}`]) {
      expect(new Set(await outcomes(transport(url)))).toEqual(new Set(['deferred']));
      expect(new Set(await outcomes(transport(url, { ca: cert })))).toEqual(new Set(['accepted']));
    }
    expect(logins).toEqual(['user true', 'user true']);
  });

  it('names the rule, never the address, when the address is wrong', () => {
    for (const url of ['', 'mail.example.com', 'http://user:secret@mail.example.com', 'smtp://']) {
      expect(() => new SmtpMailTransport({ url })).toThrow(SmtpUrlError);
      expect(() => new SmtpMailTransport({ url })).not.toThrow('secret');
    }
  });
});
