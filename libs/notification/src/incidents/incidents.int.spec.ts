import {
  clusterCreated,
  keyConfigurationHeld,
  keyConfigurationHoldDecided,
  keyConfigurationHoldEnded,
  keyConfigurationHoldOverdue,
  keyConfigurationInvalidated,
  keyConfigurationReachable,
  keyConfigurationSaved,
  keyConfigurationUnreachable,
  keyConfigurationUnreachableEscalated,
  newObjectId,
  projectCreated,
  validityBreakerClosed,
  validityBreakerOpened,
  type BreakerIncident,
  type KeyConfigurationState,
} from '@atrest/contracts';
import { afterEach, describe, expect, it } from 'vitest';
import type { NotificationOptions } from '../notification-service.js';
import {
  clusterState,
  evidence,
  following,
  held,
  hold,
  invalid,
  keyState,
  MINUTE,
  projectState,
  PUBLIC_URL,
  Stage,
  START,
} from '../test-support/stage.contract.js';

const OPERATOR = 'ops@atrest.example';
const ORG = newObjectId();

const opened = (change: Partial<BreakerIncident> = {}): BreakerIncident => ({
  id: newObjectId(),
  openedAt: START.toISOString(),
  closedAt: null,
  failing: 500,
  total: 800,
  maxCount: 50,
  maxShare: 0.3,
  revision: 1,
  ...change,
});

describe('incidents of the operators', () => {
  let stage: Stage;
  const open = async (options: Partial<NotificationOptions> = { operatorAddress: OPERATOR }): Promise<void> => {
    stage = await Stage.open('incidents', options);
  };
  afterEach(() => stage.close());

  /** A project with one owner, one cluster and a key that is fine. */
  async function project(name: string, key: Partial<KeyConfigurationState> = {}): Promise<KeyConfigurationState> {
    const state = projectState({ [`${name.toLowerCase()}@example.com`]: ['GROUP_OWNER'] }, { name, orgId: ORG });
    await stage.deliver(projectCreated, state);
    await stage.deliver(clusterCreated, clusterState(state.id, `${name.toLowerCase()}-db`));
    const saved = keyState(state.id, key);
    await stage.deliver(keyConfigurationSaved, saved);
    return saved;
  }
  const projects = async (...names: string[]): Promise<KeyConfigurationState[]> => {
    const all: KeyConfigurationState[] = [];
    for (const name of names) all.push(await project(name));
    return all;
  };
  /** Sends what is due when the next message about an incident is. */
  async function nextPage(): Promise<void> {
    const due = await stage.service.nextPageAt();
    if (due === null) throw new Error('nothing is to be told of any incident');
    if (due > stage.clock.now()) stage.clock.set(due);
    await stage.service.deliverDue();
  }
  const mails = (): { to: string; subject: string }[] => stage.mails.messages().map(({ to, subject }) => ({ to: to.join(), subject }));
  const metric = async (cause: string): Promise<number> =>
    Number(new RegExp(String.raw`operator_alerts_total\{cause="${cause}"\} (\d+)`).exec(await stage.metrics.render())?.[1] ?? 0);

  it('F82 500 shutdowns that the breaker holds are one message that lists them, and tells how to decide', async () => {
    await open();
    const first = await project('Orders');
    const breaker = opened();
    await stage.deliver(keyConfigurationHeld, held(first));
    await stage.deliver(validityBreakerOpened, breaker);
    expect(await metric('shutdowns-held')).toBe(1);
    const crowd = Array.from({ length: 499 }, (_, number) => held(keyState(newObjectId(), { keyId: `alias/team-${number}` })));
    await stage.deliverAll(
      projectCreated,
      crowd.map(({ projectId }, number) =>
        projectState({ 'a@example.com': ['GROUP_OWNER'] }, { id: projectId, orgId: ORG, name: `Team ${number}` }),
      ),
    );
    await stage.deliverAll(keyConfigurationHeld, crowd);
    expect(mails()).toEqual([]);
    await nextPage();
    expect(mails()).toEqual([
      {
        to: OPERATOR,
        subject: '[Atrest operators] Shutdowns held: the customer keys of 500 key configurations turned out unusable at once',
      },
    ]);
    expect(stage.clock.now().getTime() - START.getTime()).toBe(MINUTE);
    const [mail] = stage.mails.messages();
    const url = `${PUBLIC_URL}/api/atlas/v2/orgs/${ORG}/encryptionAtRest/heldShutdowns`;
    for (const part of [mail?.text ?? '', (mail?.html ?? '').replaceAll('&quot;', '"').replaceAll('&#39;', "'")]) {
      expect(part).toContain('500 of 800 key configurations');
      expect(part).toContain(`-d '{"decision": "RELEASE"}' ${url}`);
      expect(part).toContain(`-d '{"decision": "CANCEL"}' ${url}`);
      expect(part).toContain('2026-11-23 16:00:00 UTC');
      expect(part).toContain(`Orders (${first.projectId}), AWS: `);
      for (const number of [0, 250, 498]) expect(part).toContain(`(configured as alias/team-${number})`);
      expect(part.match(/KEY_DISABLED \(DisabledException\)/g)).toHaveLength(500);
    }
    expect(await metric('shutdowns-held')).toBe(1);
    expect(await stage.service.nextPageAt()).toBeNull();
  });

  it('tells owners nothing while a shutdown is held, and then what became of it', async () => {
    await open();
    const [orders, invoices, audit] = (await projects('Orders', 'Invoices', 'Audit')) as [
      KeyConfigurationState,
      KeyConfigurationState,
      KeyConfigurationState,
    ];
    const breaker = opened();
    await stage.deliver(validityBreakerOpened, breaker);
    const waiting = [orders, invoices, audit].map((each) => held(each));
    for (const each of waiting) await stage.deliver(keyConfigurationHeld, each);
    await nextPage();
    expect(mails().map(({ to }) => to)).toEqual([OPERATOR]);

    const decided = (state: KeyConfigurationState, decision: 'RELEASED' | 'CANCELLED'): KeyConfigurationState =>
      following(state, { hold: hold({ decision, decidedBy: 'mdb_sa_id_ops' }) });
    const [heldOrders, heldInvoices, heldAudit] = waiting as [KeyConfigurationState, KeyConfigurationState, KeyConfigurationState];
    const released = decided(heldOrders, 'RELEASED');
    await stage.deliver(keyConfigurationHoldDecided, released);
    await stage.deliver(keyConfigurationHoldDecided, decided(heldInvoices, 'CANCELLED'));
    const { hold: _, ...usable } = following(heldAudit, { state: 'VALID' });
    await stage.deliver(keyConfigurationHoldEnded, usable);
    const { hold: __, ...stopped } = following(invalid(released, START), {});
    await stage.deliver(keyConfigurationInvalidated, stopped);
    await stage.deliver(validityBreakerClosed, { ...breaker, closedAt: stage.clock.now().toISOString(), revision: 2 });
    await stage.service.deliverDue();
    // The owners of what is stopped hear of it at once, the operators when they were not told for a while.
    expect(mails().slice(1)).toEqual([
      { to: 'orders@example.com', subject: '[Atrest] Customer key of project Orders is not usable: 1 cluster being stopped' },
    ]);
    await nextPage();
    expect(mails().slice(2)).toEqual([
      { to: OPERATOR, subject: '[Atrest operators] No shutdown is held any more: 1 released, 1 cancelled, 1 usable again' },
    ]);
    const closing = stage.mails.messages().at(-1);
    for (const part of [closing?.text, closing?.html]) {
      expect(part).toMatch(/Orders \([0-9a-f]+\), AWS: .*: released by mdb_sa_id_ops/);
      expect(part).toMatch(/Audit \([0-9a-f]+\), AWS: .*: usable again/);
    }

    // Another mistake is another incident; what was handled before opens none, also when the projections are rebuilt.
    await stage.database.query('TRUNCATE key_configuration, inbox');
    await stage.deliver(validityBreakerOpened, breaker);
    for (const each of waiting) await stage.deliver(keyConfigurationHeld, each);
    await stage.deliver(keyConfigurationHoldEnded, usable);
    expect(await stage.service.nextPageAt()).toBeNull();
    expect(await metric('shutdowns-held')).toBe(1);
    await stage.deliver(keyConfigurationHeld, held(following(usable, { revision: 20 }), { since: stage.clock.now().toISOString() }));
    expect(await metric('shutdowns-held')).toBe(2);
  });

  it('says it again when nobody decides in time, and names who joined later, at most every quarter of an hour', async () => {
    await open();
    const [orders, invoices] = (await projects('Orders', 'Invoices')) as [KeyConfigurationState, KeyConfigurationState];
    const waiting = held(orders);
    await stage.deliver(keyConfigurationHeld, waiting);
    await nextPage();
    await stage.deliver(keyConfigurationHeld, held(invoices, { atTheEnd: 'STOP' }));
    const before = stage.clock.now();
    await nextPage();
    expect(stage.clock.now().getTime() - before.getTime()).toBe(15 * MINUTE);
    expect(mails().at(-1)?.subject).toContain('2 key configurations');
    expect(stage.mails.messages().at(-1)?.text).toContain('1 key configuration of projects that fail closed');

    await stage.deliver(keyConfigurationHoldOverdue, following(waiting, { hold: hold({ until: '2026-11-23T20:00:00.000Z' }) }));
    await nextPage();
    expect(mails().at(-1)?.subject).toBe('[Atrest operators] Nobody has decided on the held shutdowns of 2 key configurations in time');
    expect(mails()).toHaveLength(3);
    expect(await stage.service.nextPageAt()).toBeNull();
  });

  it('is silent about what was over before anything was told', async () => {
    await open();
    const orders = await project('Orders');
    const waiting = held(orders);
    await stage.deliver(keyConfigurationHeld, waiting);
    const { hold: _, ...usable } = following(waiting, { state: 'VALID' });
    await stage.deliver(keyConfigurationHoldEnded, usable);
    await nextPage();
    expect(mails()).toEqual([]);
    expect(await stage.service.nextPageAt()).toBeNull();
  });

  it('F82 an outage of one region is one incident: owners of each project first, then once the operators, then the owners again', async () => {
    await open();
    const all = await projects('Orders', 'Invoices', 'Audit');
    const out = all.map((each) =>
      following(each, {
        unreachableSince: START.toISOString(),
        alertLevel: 'PROJECT_OWNERS',
        evidence: [evidence({ verdict: 'transient', reason: 'TIMEOUT', errorName: 'TimeoutError' })],
      }),
    );
    for (const each of out) await stage.deliver(keyConfigurationUnreachable, each);
    await stage.service.deliverDue();
    expect(mails()).toHaveLength(3);
    stage.clock.advance(30 * MINUTE);
    const escalated = out.map((each) => following(each, { alertLevel: 'OPERATORS' }));
    for (const each of escalated) await stage.deliver(keyConfigurationUnreachableEscalated, each);
    await nextPage();
    expect(mails().slice(3)).toEqual([
      { to: OPERATOR, subject: '[Atrest operators] AWS KMS in US_EAST_1 cannot be asked about 3 key configurations; nothing is stopped' },
    ]);
    for (const part of [stage.mails.messages()[3]?.text, stage.mails.messages()[3]?.html]) {
      for (const name of ['Orders', 'Invoices', 'Audit']) expect(part).toMatch(new RegExp(`${name} .*TimeoutError`));
    }
    expect(await metric('kms-unreachable')).toBe(1);

    const still = escalated.map((each) => following(each, { alertLevel: 'ORGANISATION_OWNERS' }));
    for (const each of still) await stage.deliver(keyConfigurationUnreachableEscalated, each);
    await stage.service.deliverDue();
    expect(mails().slice(4)).toHaveLength(3);
    expect(mails()[4]).toEqual({
      to: 'orders@example.com',
      subject: '[Atrest] AWS KMS still cannot be asked about the key of project Orders; nothing is stopped',
    });

    for (const { alertLevel: _, ...each } of still) {
      await stage.deliver(keyConfigurationReachable, following({ ...each, unreachableSince: null }, {}));
    }
    await nextPage();
    expect(mails().at(-1)?.subject).toBe('[Atrest operators] AWS KMS in US_EAST_1 answers again');
    expect(mails()).toHaveLength(11);
  });

  it('without an address of the operators: an error in the log, the metric, and an event that nobody was told', async () => {
    await open({});
    await stage.deliver(keyConfigurationHeld, held(await project('Orders')));
    await nextPage();
    expect(mails()).toEqual([]);
    expect((await stage.events()).map(({ name, data }) => `${name} ${data.kind} ${data.projectId}`)).toEqual([
      'failed SHUTDOWNS_HELD null',
    ]);
    const alerts = stage.logLines.filter((line) => line.includes('operator alert')).map((line) => JSON.parse(line) as object);
    expect(alerts).toMatchObject([{ problem: 'shutdowns-held', operatorTold: false }]);
    expect(await metric('shutdowns-held')).toBe(1);
  });
});
