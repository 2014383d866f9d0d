import { MailCatcher, waitFor } from '@atrest/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestInstallation } from './test-support/installation.contract.js';
import { freePort } from './free-port.js';

const LIMIT_MS = 300_000;
let atrest: TestInstallation;
let smtpPort: number;
let catcher: MailCatcher | null = null;

beforeAll(async () => {
  smtpPort = await freePort();
  atrest = await TestInstallation.start('mail-server-down', {
    ATREST_SMTP_URL: `smtp://127.0.0.1:${smtpPort}`,
    ATREST_MAIL_RETRY: '1s',
  });
}, LIMIT_MS);

afterAll(async () => {
  await atrest.close();
  await catcher?.close();
}, LIMIT_MS);

describe('the mail server', { timeout: LIMIT_MS }, () => {
  it('F79 is down when the key becomes invalid: nothing else waits for it, and the mail arrives once when it is up', async () => {
    const host = await atrest.host('f79');
    const project = await atrest.project('F79-shop', { mailboxUrl: () => catcher?.pageUrl ?? '' });
    await project.createReplicaSet('orders', [host]);
    await project.untilClusterIs('orders', 'IDLE');
    await project.key('disable');
    await project.untilClusterIs('orders', 'DISABLED');
    const undelivered = () => atrest.lines('message not delivered to everybody yet; it is kept');
    await waitFor(() => undelivered().length >= 2, { describe: 'two attempts to deliver the mail', limitMs: LIMIT_MS });

    catcher = await MailCatcher.start({ smtpPort });
    const first = await project.untilMail(/not usable: 1 cluster being stopped/);
    await project.key('enable');
    const second = await project.untilMail(/usable again/);
    await project.untilClusterIs('orders', 'IDLE');
    expect((await project.mails()).map(({ messageId }) => messageId)).toEqual([first.messageId, second.messageId]);
  });
});
