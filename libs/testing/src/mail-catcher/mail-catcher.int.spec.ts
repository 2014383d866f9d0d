import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTransport } from 'nodemailer';
import { afterEach, describe, expect, it } from 'vitest';
import { MailCatcher } from './mail-catcher.js';

describe('mail catcher', () => {
  const started: MailCatcher[] = [];
  const start = async (o: Parameters<typeof MailCatcher.start>[0] = {}): Promise<MailCatcher> => {
    const catcher = await MailCatcher.start(o);
    started.push(catcher);
    return catcher;
  };
  afterEach(async () => {
    await Promise.all(started.splice(0).map((catcher) => catcher.close()));
  });

  const send = (catcher: MailCatcher, o: { to?: string[]; subject?: string; text?: string; html?: string } = {}) =>
    createTransport(catcher.smtpUrl).sendMail({ from: 'atrest@example.com', to: ['a@example.com'], subject: 's', text: 't', ...o });

  it('keeps what it receives', async () => {
    const catcher = await start();
    const waiting = catcher.waitForMessage((mail) => mail.subject === 'Zweite – ünïcode');
    await send(catcher, { to: ['a@example.com', 'b@example.com'], subject: 'first', html: '<b>bold</b>' });
    await send(catcher, { subject: 'Zweite – ünïcode' });
    expect((await waiting).id).toBe(2);
    expect(catcher.messages()[0]).toMatchObject({
      to: ['a@example.com', 'b@example.com'],
      recipients: ['a@example.com', 'b@example.com'],
      subject: 'first',
      text: 't',
      html: '<b>bold</b>',
    });
    expect(await (await fetch(`${catcher.pageUrl}messages`)).json()).toMatchObject([{ subject: 'first' }, { subject: 'Zweite – ünïcode' }]);
  });

  it('refuses the recipients it is told to', async () => {
    const catcher = await start();
    catcher.refuse = (recipient) => (recipient.startsWith('b') ? { code: 451, message: 'greylisted' } : null);
    const info = await send(catcher, { to: ['a@example.com', 'b@example.com'] });
    expect(info.rejected).toEqual(['b@example.com']);
    expect(catcher.messages()[0]?.recipients).toEqual(['a@example.com']);
  });

  it('keeps mails in a folder over a restart', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'mail-catcher-'));
    const first = await start({ folder });
    await send(first, { subject: 'kept' });
    await first.close();
    started.pop();
    expect(await readdir(folder)).toHaveLength(1);
    expect((await start({ folder })).messages()).toMatchObject([{ id: 1, subject: 'kept' }]);
    await rm(folder, { recursive: true });
  });

  it('shows mails without letting them act', async () => {
    const catcher = await start();
    const evil = '<script>fetch("//evil.example")</script>';
    await send(catcher, { subject: `"${evil}`, to: ['x@example.com'], html: evil, text: evil });
    const page = await fetch(catcher.pageUrl);
    const text = await page.text();
    expect(text).not.toContain('<script');
    expect(text).toContain('&lt;script&gt;');
    expect(text).toContain('<iframe sandbox ');
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
    for (const part of ['html', 'text']) {
      const mail = await fetch(`${catcher.pageUrl}mails/1/${part}`);
      expect(mail.headers.get('content-security-policy')).toMatch(/default-src 'none';.*sandbox/);
      expect(await mail.text()).toContain('<script>');
    }
    expect((await fetch(`${catcher.pageUrl}mails/99`)).status).toBe(404);
    expect((await fetch(catcher.pageUrl, { method: 'POST' })).status).toBe(405);
  });
});
