import fc from 'fast-check';
import { DEFINITIVE_REASONS, KEY_PROVIDERS } from '@atrest/contracts';
import { describe, expect, it } from 'vitest';
import { undeliverableMessage } from '../messages/attention-messages.js';
import { keyRepair } from '../messages/key-repair.js';
import { keyInvalidMessage } from '../messages/key-messages.js';
import { evidence, keyState } from '../test-support/stage.contract.js';
import { command, facts, heading, list, paragraph, type MailContent } from './mail-content.js';
import { renderMail } from './render-mail.js';

const hostile = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom(
    '<script>alert(1)</script>',
    '"><img src=x onerror=1>',
    "' onmouseover='1",
    '\r\nBcc: everybody@example.com',
    '\u202egnp.exe',
    '&lt;',
    '\ud800',
  ),
);

const contentOf = (texts: readonly string[]): MailContent => {
  const [first = ''] = texts;
  const link = { kind: 'link', label: first, url: first } as const;
  const entries = texts.map((text) => [text, text] as const);
  return { subject: `About ${first}`, blocks: [paragraph(first), heading(first), list(texts), facts(entries), command(first), link] };
};

describe('rendering of mails', () => {
  it('lets no text of a tenant or provider become markup, a header or a line of its own', () => {
    fc.assert(
      fc.property(fc.array(hostile, { minLength: 1, maxLength: 8 }), (texts) => {
        const { subject, text, html } = renderMail(contentOf(texts));
        expect(subject).not.toMatch(/[\p{Cc}\u202e]/u);
        expect(Array.from(subject).length).toBeLessThanOrEqual(180);
        const tags = new Set([...html.matchAll(/<\/?([a-z0-9!]+)/gi)].map(([, name]) => name));
        const own = ['!doctype', 'html', 'head', 'meta', 'title', 'body', 'div', 'p', 'h2', 'ul', 'li', 'table', 'tr', 'td', 'pre', 'a'];
        for (const tag of tags) expect(own).toContain(tag);
        // Attributes come from us alone: nothing that was given can end a quoted value.
        for (const [tag] of html.matchAll(/<[a-z][^>]*>/g)) expect(tag).not.toMatch(/\son\w+=/);
        expect(html).not.toMatch(/href="(?!https?:|about:blank)/);
        // Each text stays on the line it was given.
        const harmless = renderMail(contentOf(texts.map((each) => (each === '' ? '' : 'x')))).text;
        expect(text.split('\n')).toHaveLength(harmless.split('\n').length);
        expect(`${subject}${text}${html}`.isWellFormed()).toBe(true);
      }),
    );
  });

  it('keeps the beginning of a subject that is too long', () => {
    const { subject } = renderMail({ subject: `Cluster ${'😀'.repeat(1_000)}`, blocks: [] });
    expect(subject.startsWith('Cluster 😀')).toBe(true);
    expect(subject.endsWith('…')).toBe(true);
    expect(Array.from(subject)).toHaveLength(180);
  });
});

describe('what the mail about an invalid key says', () => {
  const project = { id: '65f0c0ffee65f0c0ffee65f0', name: 'Orders' };
  const publicUrl = 'https://atrest.example/';
  const about = (change: Parameters<typeof keyState>[1]): string =>
    renderMail(
      keyInvalidMessage({ project, configuration: keyState(project.id, { state: 'INVALID', ...change }), clusters: ['a'], publicUrl }),
    ).text;

  it('knows what to do for every reason of every provider', () => {
    for (const provider of KEY_PROVIDERS) {
      for (const reason of DEFINITIVE_REASONS) {
        const configuration = keyState(project.id, { provider });
        expect(keyRepair(configuration, reason).length).toBeGreaterThan(0);
        expect(about({ provider, evidence: [evidence({ reason })] })).toContain(reason);
      }
    }
  });

  it('gives commands that can be pasted', () => {
    expect(about({ evidence: [evidence({ reason: 'KEY_PENDING_DELETION' })] })).toMatch(
      /aws kms cancel-key-deletion --key-id arn:aws:kms:us-east-1:111122223333:key\/[0-9a-f-]+ --region us-east-1\n/,
    );
    const hostileKey = about({ resolvedKeyId: "x'; rm -rf / #", region: 'EU_WEST_1' });
    expect(hostileKey).toContain(`Key: x'; rm -rf / # (configured as alias/orders)`);
    const [line] =
      renderMail({ subject: '', blocks: keyRepair(keyState(project.id, { resolvedKeyId: "x'; rm -rf / #" }), 'KEY_DISABLED') }).text.match(
        /aws kms.*/,
      ) ?? [];
    expect(line).toBe(String.raw`aws kms enable-key --key-id 'x'\''; rm -rf / #' --region us-east-1`);
  });

  it('says every promise and its limits', () => {
    const text = about({ evidence: [evidence()] });
    for (const words of [
      'hosts keep running',
      'snapshots are kept',
      'applied when the key is valid again',
      'does not erase keys from swap',
      'awsKms:check',
    ]) {
      expect(text).toContain(words);
    }
    expect(text).toContain('https://atrest.example/api/atlas');
  });

  it('is whole inside the message to the operators', () => {
    const original = keyInvalidMessage({ project, configuration: keyState(project.id), clusters: ['orders'], publicUrl });
    const { text } = renderMail(undeliverableMessage(project, original, 'The project has no owner.'));
    expect(text).toContain('orders');
    expect(text).toContain(project.id);
  });
});
