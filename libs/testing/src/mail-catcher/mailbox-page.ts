import type { IncomingMessage, ServerResponse } from 'node:http';
import type { CaughtMail } from './caught-mail.js';

const escapeHtml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;').replaceAll("'", '&#39;');

const PAGE_POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/** Mails come from anywhere: no script, no request, no origin. */
const MAIL_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'self'";

const STYLE = `
  :root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
  body { margin: 0; display: grid; grid-template-columns: minmax(16rem, 26rem) 1fr; height: 100vh; }
  nav { overflow: auto; border-right: 1px solid #8884; }
  nav h1 { font-size: 1rem; margin: 0; padding: .8rem 1rem; }
  nav p { margin: 0; padding: 0 1rem .8rem; opacity: .7; font-size: .85rem; }
  nav a { display: block; padding: .6rem 1rem; border-top: 1px solid #8883; color: inherit; text-decoration: none; overflow-wrap: anywhere; }
  nav a:hover, nav a[aria-current] { background: #8882; }
  nav small { display: block; opacity: .7; }
  main { display: flex; flex-direction: column; min-width: 0; }
  header { padding: .8rem 1.2rem; border-bottom: 1px solid #8884; overflow-wrap: anywhere; }
  header h2 { margin: 0 0 .3rem; font-size: 1.1rem; }
  header a[aria-current] { font-weight: 600; }
  iframe { flex: 1; border: 0; width: 100%; background: #fff; color-scheme: light; }
  @media (max-width: 45rem) { body { grid-template-columns: 1fr; grid-template-rows: 40vh 1fr; } }
`;

/** `/` and `/mails/{id}` for people, `/messages` for programs. */
export function serveMailbox(mails: readonly CaughtMail[], request: IncomingMessage, response: ServerResponse): void {
  const send = (status: number, type: string, policy: string, body: string): void => {
    response.writeHead(status, {
      'Content-Type': `${type}; charset=utf-8`,
      'Content-Security-Policy': policy,
      'X-Content-Type-Options': 'nosniff',
      'Referrer-Policy': 'no-referrer',
      'Cache-Control': 'no-store',
    });
    response.end(request.method === 'HEAD' ? undefined : body);
  };
  const host = (request.headers.host ?? '').replace(/:\d+$/, '');
  // A foreign name that resolves to the loopback is a web page that tries to read the mails.
  if (host !== '127.0.0.1' && host !== 'localhost') return send(403, 'text/plain', PAGE_POLICY, 'Ask for 127.0.0.1 or localhost.\n');
  if (request.method !== 'GET' && request.method !== 'HEAD') return send(405, 'text/plain', PAGE_POLICY, 'Only GET.\n');

  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
  if (pathname === '/messages') return send(200, 'application/json', PAGE_POLICY, `${JSON.stringify(mails, null, 2)}\n`);
  if (pathname === '/') return send(200, 'text/html', PAGE_POLICY, page(mails, mails.at(-1), 'html'));

  const match = /^\/mails\/(\d+)(?:\/(html|text))?$/.exec(pathname);
  const mail = mails.find(({ id }) => id === Number(match?.[1]));
  if (mail === undefined) return send(404, 'text/html', PAGE_POLICY, page(mails, undefined, 'html'));
  if (match?.[2] === 'html') return send(200, 'text/html', MAIL_POLICY, mail.html ?? '');
  if (match?.[2] === 'text') return send(200, 'text/plain', MAIL_POLICY, mail.text);
  return send(200, 'text/html', PAGE_POLICY, page(mails, mail, searchParams.get('part') === 'text' ? 'text' : 'html'));
}

function page(mails: readonly CaughtMail[], shown: CaughtMail | undefined, wanted: 'html' | 'text'): string {
  const links = mails.toReversed().map(
    (mail) => `<a href="/mails/${mail.id}"${mail === shown ? ' aria-current="true"' : ''}>${escapeHtml(mail.subject || '(no subject)')}
      <small>${escapeHtml(mail.to.join(', '))} · ${mail.receivedAt.toISOString()}</small></a>`,
  );
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Mailbox</title><style>${STYLE}</style></head>
<body>
<nav><h1>Mailbox</h1><p>Every mail of this installation ends here. Nothing is delivered.</p>${links.join('\n') || '<p>No mail yet.</p>'}</nav>
<main>${shown === undefined ? '' : view(shown, shown.html === null ? 'text' : wanted)}</main>
</body>
</html>
`;
}

function view(mail: CaughtMail, part: 'html' | 'text'): string {
  const tab = (name: 'html' | 'text', label: string): string =>
    `<a href="/mails/${mail.id}?part=${name}"${name === part ? ' aria-current="true"' : ''}>${label}</a>`;
  return `<header><h2>${escapeHtml(mail.subject)}</h2>
  <div>From ${escapeHtml(mail.from)}</div><div>To ${escapeHtml(mail.to.join(', '))}</div>
  <div>${mail.receivedAt.toUTCString()} · ${mail.html === null ? '' : `${tab('html', 'HTML')} · `}${tab('text', 'Text')}</div></header>
<iframe sandbox title="The mail" src="/mails/${mail.id}/${part}"></iframe>`;
}
