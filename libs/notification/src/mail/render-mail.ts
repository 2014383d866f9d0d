import { unhandled } from '../unhandled.js';
import type { Block, MailContent } from './mail-content.js';

export interface RenderedMail {
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

/** Longer subjects are cut by mail programs anyway; a name of a thousand characters must not hide the rest of the header. */
const MAX_SUBJECT = 180;
/** Of one value: a provider's message is at most 500, a name at most 64 characters where it is checked. */
const MAX_VALUE = 2_000;

/** HTML and text from one structure. Names and messages come from tenants and providers and are never trusted. */
export function renderMail(content: MailContent): RenderedMail {
  const subject = shorten(oneLine(content.subject), MAX_SUBJECT);
  return {
    subject,
    text: `${content.blocks.map(textOf).join('\n\n')}\n`,
    html: page(subject, content.blocks.map(htmlOf).join('\n')),
  };
}

/**
 * Control characters and those that turn the direction of text become blanks: they could forge lines of the text part or show an
 * address other than the real one.
 */
// oxlint-disable-next-line no-control-regex -- they are what is looked for.
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]+/g;

export function oneLine(text: string): string {
  return shorten(text.toWellFormed().replaceAll(UNSAFE, ' ').trim(), MAX_VALUE);
}

/** Cuts between characters, not within one. */
function shorten(text: string, length: number): string {
  const characters = Array.from(text);
  return characters.length <= length ? text : `${characters.slice(0, length - 1).join('')}…`;
}

const escapeHtml = (text: string): string =>
  oneLine(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;').replaceAll("'", '&#39;');

function textOf(block: Block): string {
  switch (block.kind) {
    case 'paragraph':
      return oneLine(block.text);
    case 'heading':
      return `${oneLine(block.text)}\n${'-'.repeat(Array.from(oneLine(block.text)).length)}`;
    case 'list':
      return block.items.map((item) => `  * ${oneLine(item)}`).join('\n');
    case 'facts':
      return block.facts.map(([label, value]) => `  ${oneLine(label)}: ${oneLine(value)}`).join('\n');
    case 'command':
      return `    ${oneLine(block.text)}`;
    case 'link':
      return `${oneLine(block.label)}: ${oneLine(block.url)}`;
    default:
      return unhandled(block);
  }
}

const MONO = 'font-family:ui-monospace,Menlo,Consolas,monospace;font-size:13px';

function htmlOf(block: Block): string {
  switch (block.kind) {
    case 'paragraph':
      return `<p>${escapeHtml(block.text)}</p>`;
    case 'heading':
      return `<h2 style="font-size:16px;margin:24px 0 8px">${escapeHtml(block.text)}</h2>`;
    case 'list':
      return `<ul>${block.items.map((item) => `<li>${escapeHtml(item)}</li>`).join('')}</ul>`;
    case 'facts':
      return `<table style="border-collapse:collapse">${block.facts.map(factOf).join('')}</table>`;
    case 'command':
      return `<pre style="${MONO};background:#f2f3f5;padding:10px 12px;white-space:pre-wrap;overflow-wrap:anywhere">${escapeHtml(block.text)}</pre>`;
    case 'link':
      return `<p><a href="${escapeHtml(safeUrl(block.url))}">${escapeHtml(block.label)}</a></p>`;
    default:
      return unhandled(block);
  }
}

const factOf = ([label, value]: readonly [string, string]): string =>
  `<tr><td style="padding:2px 16px 2px 0;vertical-align:top;color:#5c6370;white-space:nowrap">${escapeHtml(label)}</td>` +
  `<td style="padding:2px 0;overflow-wrap:anywhere">${escapeHtml(value)}</td></tr>`;

function safeUrl(url: string): string {
  const parsed = URL.parse(url);
  return parsed?.protocol === 'https:' || parsed?.protocol === 'http:' ? parsed.href : 'about:blank';
}

const page = (title: string, body: string): string => `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escapeHtml(title)}</title></head>
<body style="margin:0;padding:24px;font:15px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif;color:#1c1e21;background:#fff">
<div style="max-width:680px">
${body}
</div>
</body>
</html>
`;
