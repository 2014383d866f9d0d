import {
  clusterConcernRaised,
  clusterCreated,
  clusterDeleted,
  clusterProcessEndedForKey,
  keyConfigurationAttentionNeeded,
  keyConfigurationInvalidated,
  keyConfigurationReachable,
  keyConfigurationRemoved,
  keyConfigurationSaved,
  keyConfigurationUnreachable,
  keyConfigurationValidated,
  projectCreated,
  projectDeleted,
  projectUpdated,
  type ProjectState,
} from '@atrest/contracts';
import { MailCatcher, waitFor } from '@atrest/testing';
import { afterEach, describe, expect, it } from 'vitest';
import type { MailTransport } from './delivery/mail-transport.js';
import { SmtpMailTransport } from './delivery/smtp-mail-transport.js';
import type { NotificationOptions } from './notification-service.js';
import {
  clusterState,
  concern,
  DAY,
  evidence,
  HOUR,
  invalid,
  keyState,
  MINUTE,
  projectState,
  Stage,
  START,
  following,
} from './test-support/stage.contract.js';

describe('notification', () => {
  let stage: Stage;
  const open = async (options: Partial<NotificationOptions> = {}): Promise<void> => {
    stage = await Stage.open('notification', options);
  };
  afterEach(() => stage.close());

  const owners = (...emails: string[]): ProjectState =>
    projectState(Object.fromEntries(emails.map((email) => [email, ['GROUP_OWNER'] as const])));
  const subjects = (): string[] => stage.mails.messages().map(({ subject }) => subject);
  const statuses = async (): Promise<string[]> => (await stage.service.notifications.list()).map(({ kind, status }) => `${kind} ${status}`);

  it('a rebuild of its projections, whatever was dropped, sends no mail again', async () => {
    await open();
    const project = owners('a@example.com');
    const orders = clusterState(project.id, 'orders');
    const saved = keyState(project.id);
    const invalidated = invalid(saved, stage.clock.now());
    const everything = async (): Promise<void> => {
      await stage.deliver(projectCreated, project);
      await stage.deliver(clusterCreated, orders);
      await stage.deliver(keyConfigurationSaved, saved);
      await stage.deliver(keyConfigurationInvalidated, invalidated);
      await stage.service.deliverDue();
    };
    await everything();
    const told = await statuses();
    expect(subjects()).toHaveLength(1);
    // Even the revisions that guard: each mail is unique by the transition that it tells of.
    await stage.database.query('TRUNCATE project, cluster, key_configuration, inbox');
    stage.clock.advance(2 * DAY);
    await everything();
    expect(subjects()).toHaveLength(1);
    expect(await statuses()).toEqual(told);
    expect(await stage.database.query('SELECT name FROM cluster')).toEqual([{ name: 'orders' }]);
  });

  it('tells all owners once about an invalid key, with every affected cluster, and once that it is valid again', async () => {
    await open();
    const project = projectState({
      'b@example.com': ['GROUP_OWNER'],
      'a@example.com': ['GROUP_READ_ONLY', 'GROUP_OWNER'],
      'A@Example.com': ['GROUP_OWNER'],
      'reader@example.com': ['GROUP_READ_ONLY'],
    });
    await stage.deliver(projectCreated, project);
    for (const name of ['orders', 'invoices', 'audit']) await stage.deliver(clusterCreated, clusterState(project.id, name));
    await stage.deliver(clusterCreated, clusterState(project.id, 'plain', { encryptionAtRestProvider: 'NONE' }));
    await stage.deliver(clusterCreated, clusterState(project.id, 'other-cloud', { encryptionAtRestProvider: 'GCP' }));
    const gone = clusterState(project.id, 'gone');
    await stage.deliver(clusterCreated, gone);
    await stage.deliver(clusterDeleted, { ...gone, deletedAt: START.toISOString(), revision: 2 });
    const saved = keyState(project.id);
    await stage.deliver(keyConfigurationSaved, saved);
    stage.clock.advance(MINUTE);
    const invalidated = invalid(saved, stage.clock.now());
    await stage.deliver(keyConfigurationInvalidated, invalidated);
    await stage.service.deliverDue();

    expect(subjects()).toEqual(['[Atrest] Customer key of project Orders is not usable: 3 clusters being stopped']);
    const [mail] = stage.mails.messages();
    expect(mail?.to).toEqual(['A@example.com', 'b@example.com']);
    expect(mail?.headers['auto-submitted']).toBe('auto-generated');
    for (const part of [mail?.text ?? '', mail?.html ?? '']) {
      for (const words of ['orders', 'invoices', 'audit', 'DisabledException', 'request-3', '2026-11-23 12:01:00 UTC', 'is disabled.']) {
        expect(part).toContain(words);
      }
      expect(part).toContain(`aws kms enable-key --key-id ${saved.resolvedKeyId} --region us-east-1`);
      expect(part).toContain(`https://atrest.example/api/atlas/v2/groups/${project.id}/encryptionAtRest/awsKms:check`);
      expect(part).toContain('the files on disk are as readable as the volume is');
      for (const words of ['plain', 'other-cloud', 'gone']) expect(part).not.toMatch(new RegExp(`\\* ${words}|<li>${words}`));
    }

    stage.clock.advance(HOUR);
    // New settings in one step: saved and validated, each with its own revision.
    const repaired = following(invalidated, {
      state: 'VALID',
      evidence: [],
      invalidSince: null,
      lastProvenAt: stage.clock.now().toISOString(),
    });
    await stage.deliver(keyConfigurationSaved, repaired);
    await stage.deliver(keyConfigurationValidated, following(repaired, {}));
    // An old event that was parked and is replayed now says nothing new.
    await stage.deliver(keyConfigurationInvalidated, invalidated);
    await stage.service.deliverDue();
    expect(subjects().slice(1)).toEqual(['[Atrest] Customer key of project Orders is usable again: 3 clusters starting again']);
    expect(stage.mails.messages()[1]?.text).toContain('Invalid since: 2026-11-23 12:01:00 UTC');

    expect(await statuses()).toEqual(['KEY_INVALID SENT', 'KEY_VALID SENT']);
    const events = await stage.events();
    expect(events.map(({ name, data }) => `${name} ${data.kind}`)).toEqual(['sent KEY_INVALID', 'sent KEY_VALID']);
    expect(events[0]?.data.recipients).toEqual(['A@Example.com', 'b@example.com']);
  });

  it('says what would have been stopped when the project only observes', async () => {
    await open();
    const project = owners('a@example.com');
    await stage.deliver(projectCreated, project);
    await stage.deliver(clusterCreated, clusterState(project.id, 'orders'));
    await stage.deliver(keyConfigurationInvalidated, { ...invalid(keyState(project.id), START), mode: 'observe' });
    await stage.service.deliverDue();
    expect(subjects()).toEqual(['[Atrest] Customer key of project Orders is not usable: 1 cluster would have been stopped']);
    expect(stage.mails.messages()[0]?.text).toContain('Nothing was stopped and nothing will be.');
  });

  it('F79 keeps a message while the mail server is down or greylists, and delivers it once to each owner', async () => {
    const elsewhere = await MailCatcher.start();
    const port = Number(new URL(elsewhere.smtpUrl).port);
    await elsewhere.close();
    await open({ smtpUrl: `smtp://127.0.0.1:${port}` });
    const project = owners('a@example.com', 'b@example.com', 'c@example.com');
    await stage.deliver(projectCreated, project);
    await stage.deliver(keyConfigurationInvalidated, invalid(keyState(project.id), START));

    for (let attempt = 0; attempt < 4; attempt += 1) await stage.tick();
    const down = (await stage.service.notifications.list())[0];
    expect(down).toMatchObject({ status: 'PENDING', attempts: 4 });
    expect(down?.recipients[0]?.answer).toContain('ECONNREFUSED');

    const server = await MailCatcher.start({ smtpPort: port });
    server.refuse = () => ({ code: 451, message: 'greylisted, come back' });
    await stage.tick();
    expect(server.messages()).toEqual([]);
    // Now one is let through, one is unknown for good and one still has to wait.
    server.refuse = (recipient) =>
      recipient === 'a@example.com' ? null : { code: recipient === 'b@example.com' ? 550 : 451, message: 'no' };
    await stage.tick();
    server.refuse = null;
    expect(await stage.tick()).toBe(true);
    expect(await stage.tick()).toBe(false);

    const received = server.messages();
    expect(received.map(({ recipients }) => recipients)).toEqual([['a@example.com'], ['c@example.com']]);
    expect(received.map(({ to }) => to)).toEqual([project.members, project.members].map((members) => members.map(({ email }) => email)));
    expect(new Set(received.map(({ messageId }) => messageId)).size).toBe(1);
    expect(new Set(received.map(({ headers }) => headers['date'])).size).toBe(1);
    expect((await stage.service.notifications.list())[0]).toMatchObject({
      status: 'SENT',
      attempts: 7,
      recipients: [{ status: 'SENT' }, { status: 'FAILED', answer: '550 no' }, { status: 'SENT' }],
    });
    expect((await stage.events()).map(({ name }) => name)).toEqual(['sent']);
    await server.close();
  });

  it('F79 keeps a message for days before it gives up, and then tells the operators', async () => {
    const elsewhere = await MailCatcher.start();
    const { smtpUrl } = elsewhere;
    await elsewhere.close();
    await open({ smtpUrl, operatorAddress: 'ops@atrest.example' });
    const project = owners('a@example.com');
    await stage.deliver(projectCreated, project);
    await stage.deliver(keyConfigurationInvalidated, invalid(keyState(project.id), START));
    await stage.tick();
    stage.clock.advance(3 * DAY);
    await stage.tick();
    expect(await statuses()).toEqual(['KEY_INVALID PENDING']);
    stage.clock.advance(2 * DAY);
    await stage.tick();
    expect(await statuses()).toEqual(['KEY_INVALID FAILED', 'NO_OWNER PENDING']);
    expect((await stage.events()).map(({ name, data }) => `${name} ${data.kind}`)).toEqual(['failed KEY_INVALID']);
    expect(stage.logLines.filter((line) => line.includes('operator alert'))).toHaveLength(2);
    // The operators' message fails as well: that makes no third one.
    stage.clock.advance(6 * DAY);
    while (await stage.tick());
    expect(await statuses()).toEqual(['KEY_INVALID FAILED', 'NO_OWNER FAILED']);
  });

  it('F80 a project without an owner is an operator alert, not silence', async () => {
    await open({ operatorAddress: 'ops@atrest.example' });
    const project = projectState({ 'reader@example.com': ['GROUP_READ_ONLY'] });
    await stage.deliver(projectCreated, project);
    await stage.deliver(clusterCreated, clusterState(project.id, 'orders'));
    await stage.deliver(keyConfigurationInvalidated, invalid(keyState(project.id), START));
    await stage.service.deliverDue();
    const [mail, ...others] = stage.mails.messages();
    expect(others).toEqual([]);
    expect(mail?.to).toEqual(['ops@atrest.example']);
    expect(mail?.subject).toMatch(/^\[Atrest operators\] Nobody could be told: /);
    expect(mail?.text).toContain('The project has no owner.');
    expect(mail?.text).toContain('orders');
    const alerts = stage.logLines.filter((line) => line.includes('operator alert'));
    expect(alerts).toHaveLength(1);
    expect(JSON.parse(alerts[0] ?? '{}')).toMatchObject({ projectId: project.id, problem: 'no-owner' });
    expect(await stage.metrics.render()).toMatch(/atrest_notification_operator_alerts_total\{cause="no-owner"\} 1/);
  });

  it('F80 without an owner and without an operator address: an event, a log line and a metric', async () => {
    await open();
    const project = projectState({});
    await stage.deliver(projectCreated, project);
    await stage.deliver(keyConfigurationInvalidated, invalid(keyState(project.id), START));
    expect(await stage.events()).toMatchObject([{ name: 'failed', data: { kind: 'NO_OWNER', status: 'FAILED', recipients: [] } }]);
    expect(stage.logLines.filter((line) => line.includes('operator alert'))).toHaveLength(1);
    expect(await stage.metrics.render()).toMatch(/atrest_notification_operator_alerts_total\{cause="no-owner"\} 1/);
  });

  it('F80 when every owner has left the company, the operators are told', async () => {
    await open({ operatorAddress: 'ops@atrest.example' });
    stage.mails.refuse = (recipient) => (recipient === 'left@example.com' ? { code: 550, message: 'no such user' } : null);
    const project = owners('left@example.com');
    await stage.deliver(projectCreated, project);
    await stage.deliver(keyConfigurationInvalidated, invalid(keyState(project.id), START));
    await stage.service.deliverDue();
    expect(stage.mails.messages().map(({ to }) => to)).toEqual([['ops@atrest.example']]);
    expect(stage.mails.messages()[0]?.text).toContain('The mail server accepted it for none of them.');
    expect(await statuses()).toEqual(['KEY_INVALID FAILED', 'NO_OWNER SENT']);
  });

  it('tells of an unreachable KMS, of what needs attention and of concerns at most once a day per cause', async () => {
    await open();
    const project = owners('a@example.com');
    await stage.deliver(projectCreated, project);
    const cluster = clusterState(project.id, 'orders');
    await stage.deliver(clusterCreated, cluster);
    const told = async (): Promise<number> => {
      await stage.service.deliverDue();
      return stage.mails.messages().length;
    };
    let state = keyState(project.id);
    const outage = async (): Promise<void> => {
      state = following(state, {
        unreachableSince: stage.clock.now().toISOString(),
        evidence: [evidence({ verdict: 'transient', reason: 'TIMEOUT', errorName: 'TimeoutError' })],
      });
      await stage.deliver(keyConfigurationUnreachable, state);
      state = following(state, { unreachableSince: null, evidence: [] });
      await stage.deliver(keyConfigurationReachable, state);
    };
    await outage();
    expect(await told()).toBe(2);
    expect(subjects()[0]).toBe('[Atrest] AWS KMS cannot be asked about the key of project Orders; nothing is stopped');
    expect(stage.mails.messages()[0]?.text).toContain('TimeoutError');
    stage.clock.advance(23 * HOUR);
    await outage();
    expect(await told()).toBe(2);
    stage.clock.advance(HOUR);
    await outage();
    expect(await told()).toBe(4);

    const attention = async (kind: 'ALIAS_MOVED' | 'UNCLASSIFIED_ERROR', errorName: string): Promise<void> => {
      const at = stage.clock.now().toISOString();
      state = following(state, {
        attention: { kind, detail: 'PATCH the new key id.', at },
        evidence: [evidence({ verdict: 'transient', reason: 'UNCLASSIFIED', errorName })],
      });
      await stage.deliver(keyConfigurationAttentionNeeded, state);
    };
    for (const errorName of ['OneException', 'OneException', 'OtherException']) await attention('UNCLASSIFIED_ERROR', errorName);
    await attention('ALIAS_MOVED', 'any');
    expect(await told()).toBe(7);

    const startedByHand = concern(cluster);
    await stage.deliver(clusterConcernRaised, startedByHand);
    await stage.deliver(clusterConcernRaised, { ...startedByHand, detail: 'still' });
    await stage.deliver(clusterConcernRaised, concern(cluster, { kind: 'HOST_UNREACHABLE' }));
    expect(await told()).toBe(9);
    expect(subjects().at(-2)).toBe('[Atrest] Cluster orders of project Orders: a process was started by hand');
  });

  it('F37 servers that end by themselves for one key are one message, which says that a check decides', async () => {
    await open();
    const project = owners('a@example.com');
    await stage.deliver(projectCreated, project);
    const cluster = clusterState(project.id, 'orders', { encryptionAtRestProvider: 'KMIP' });
    const ended = { cluster, processId: 'a'.repeat(24), detail: 'KMIP key <42> is not active', endedAt: START.toISOString() };
    await stage.deliver(clusterProcessEndedForKey, ended);
    await stage.deliver(clusterProcessEndedForKey, { ...ended, processId: 'b'.repeat(24) });
    await stage.service.deliverDue();
    expect(subjects()).toEqual(['[Atrest] Cluster orders of project Orders: a server ended because it could not use its master key']);
    const [mail] = stage.mails.messages();
    for (const part of [mail?.text, mail?.html?.replaceAll('&lt;', '<').replaceAll('&gt;', '>')]) {
      for (const words of ['KMIP key <42> is not active', '2026-11-23 12:00:00 UTC', 'Atrest did not stop it', 'is checked at once']) {
        expect(part).toContain(words);
      }
    }
    stage.clock.advance(DAY);
    await stage.deliver(clusterProcessEndedForKey, ended);
    await stage.service.deliverDue();
    expect(subjects()).toHaveLength(2);
  });

  it('waits for a project that is not known yet, uses its newest owners, and is silent about a deleted one', async () => {
    await open();
    const project = owners('a@example.com');
    const changed = { ...project, ...owners('new@example.com'), id: project.id, revision: 2 };
    await stage.deliver(projectUpdated, changed);
    await stage.deliver(projectCreated, project);
    const state = invalid(keyState(project.id), START);
    await stage.deliver(keyConfigurationInvalidated, state);
    await stage.service.deliverDue();
    expect(stage.mails.messages().map(({ to }) => to)).toEqual([['new@example.com']]);

    await stage.deliver(projectDeleted, { ...changed, deletedAt: START.toISOString(), revision: 3 });
    await stage.deliver(keyConfigurationValidated, following(state, { state: 'VALID', invalidSince: null }));
    await stage.deliver(keyConfigurationRemoved, following(state, { enabled: false, revision: 9 }));
    await stage.service.deliverDue();
    expect(stage.mails.messages()).toHaveLength(1);
  });

  it('shares the work between replicas without sending twice, and takes over from one that died', async () => {
    await open();
    const second = await stage.replica();
    const projects = Array.from({ length: 12 }, (_, number) => owners(`owner-${number}@example.com`));
    for (const project of projects) await stage.deliver(projectCreated, project);
    for (const project of projects) await stage.deliver(keyConfigurationInvalidated, invalid(keyState(project.id), START));
    await Promise.all([stage.service.deliverDue(), second.deliverDue(), stage.service.deliverDue()]);
    expect(
      stage.mails
        .messages()
        .flatMap(({ to }) => to)
        .sort(),
    ).toEqual(projects.flatMap(({ members }) => members.map(({ email }) => email)).sort());

    const project = owners('late@example.com');
    await stage.deliver(projectCreated, project);
    await stage.deliver(keyConfigurationInvalidated, invalid(keyState(project.id), START));
    const [claimed] = await stage.service.notifications.claim(stage.clock.now(), 10 * MINUTE, 1);
    await second.deliverDue();
    expect(stage.mails.messages()).toHaveLength(12);
    stage.clock.advance(10 * MINUTE);
    await second.deliverDue();
    expect(stage.mails.messages()).toHaveLength(13);
    if (claimed === undefined) throw new Error('nothing was claimed');
    const settlement = { status: 'FAILED', recipients: claimed.recipients } as const;
    expect(await stage.database.transaction((tx) => second.notifications.settle(tx, claimed, settlement, stage.clock.now()))).toBe(
      'lease-lost',
    );
    expect((await statuses()).every((status) => status === 'KEY_INVALID SENT')).toBe(true);
  });

  it('keeps its claim on a message while a slow mail server is being talked to, so that nobody else sends it too', async () => {
    let answer: () => void = () => undefined;
    const slow: MailTransport = {
      send: ({ recipients }) =>
        new Promise((resolve) => {
          answer = () => resolve(recipients.map((address) => ({ address, outcome: 'accepted', answer: null })));
        }),
      close: () => undefined,
    };
    await open({ transport: slow, delivery: { leaseMs: 90 } });
    const second = await stage.replica({ transport: new SmtpMailTransport({ url: stage.mails.smtpUrl }) });
    const project = owners('a@example.com');
    await stage.deliver(projectCreated, project);
    await stage.deliver(keyConfigurationInvalidated, invalid(keyState(project.id), START));

    const sending = stage.service.deliverDue();
    for (let elapsed = 0; elapsed < 5; elapsed += 1) {
      const due = await waitFor(
        async () => {
          const next = await stage.service.notifications.nextDueAt();
          return next !== null && next.getTime() === stage.clock.now().getTime() + 90 && next;
        },
        { describe: 'the claim to be renewed' },
      );
      stage.clock.set(new Date(due.getTime() - 1));
      await second.deliverDue();
    }
    expect(stage.mails.messages()).toEqual([]);
    answer();
    await sending;
    expect(await statuses()).toEqual(['KEY_INVALID SENT']);
  });
});
