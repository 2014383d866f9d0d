import { access } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OPERATOR, TestInstallation } from './test-support/installation.contract.js';
import { isRunning } from './test-support/machine.contract.js';
import { pidsOf } from './test-support/project.contract.js';

const LIMIT_MS = 300_000;
let atrest: TestInstallation;

beforeAll(async () => {
  atrest = await TestInstallation.start('key-validity', { ATREST_AGENT: 'true' });
}, LIMIT_MS);

afterAll(() => atrest.close(), LIMIT_MS);

describe('a key that is taken away and given back', { timeout: LIMIT_MS }, () => {
  it('F01 key disabled: its clusters stop, one mail to all owners says so, the API says why, changes wait; enabled: everything is back', async () => {
    const project = await atrest.project('F01-shop', { owners: 2 });
    await project.createPlaced('orders', 3);
    await project.createPlaced('carts', 1);
    await project.createPlaced('press', 1, 'NONE');
    const before = await Promise.all(['orders', 'carts', 'press'].map((name) => project.untilClusterIs(name, 'IDLE')));
    const [orders, carts, press] = before.map(pidsOf) as [number[], number[], number[]];
    expect([orders.length, carts.length, press.length]).toEqual([3, 1, 1]);
    await project.write('orders', 1);

    await project.key('disable');
    const disabled = await project.untilClusterIs('orders', 'DISABLED');
    await project.untilClusterIs('carts', 'DISABLED');
    for (const pid of [...orders, ...carts]) expect(await isRunning(pid)).toBe(false);
    expect(disabled.selfManaged.disabledReason).toMatchObject({ provider: 'AWS', detail: expect.stringContaining('KEY_DISABLED') });
    for (const { dbPath, status } of disabled.selfManaged.processes) {
      expect(status).toBe('stopped');
      await access(dbPath!);
    }
    expect(pidsOf(await project.untilClusterIs('press', 'IDLE'))).toEqual(press);
    await project.write('press', 1);

    const mail = await project.untilMail(/not usable: 2 clusters being stopped/);
    expect([...mail.recipients].sort()).toEqual(project.owners);
    expect(mail.text).toMatch(/\borders\b/);
    expect(mail.text).toMatch(/\bcarts\b/);
    expect(mail.text).not.toMatch(/\bpress\b/);
    expect(mail.text).toContain('DisabledException');
    expect(mail.text).toContain(`${atrest.apiUrl}/api/atlas/v2/groups/${project.id}/encryptionAtRest/awsKms:check`);

    const tags = [{ key: 'team', value: 'checkout' }];
    const changed = await project.patch('orders', { tags });
    expect(changed.selfManaged).toMatchObject({ state: 'DISABLED', pendingChanges: { tags } });

    await project.key('enable');
    await project.write('orders', 2);
    const back = await project.untilClusterIs('orders', 'IDLE');
    await project.untilClusterIs('carts', 'IDLE');
    expect(back).toMatchObject({ tags, selfManaged: { pendingChanges: null, disabledReason: null } });
    expect(await project.written('orders')).toEqual([1, 2]);
    const second = await project.untilMail(/usable again: 2 clusters starting again/);
    expect([...second.recipients].sort()).toEqual(project.owners);
    expect((await project.mails()).map(({ messageId }) => messageId)).toEqual([mail.messageId, second.messageId]);
  });

  it('F02 pending deletion stops the clusters; cancelling alone leaves the key disabled, enabling it brings them back', async () => {
    const project = await atrest.project('F02-shop');
    await project.createPlaced('orders', 1);
    await project.untilClusterIs('orders', 'IDLE');
    await project.write('orders', 1);

    await project.key('schedule-deletion');
    const { selfManaged } = await project.untilClusterIs('orders', 'DISABLED');
    expect(selfManaged.disabledReason?.detail).toMatch(/pending deletion/i);

    await project.key('cancel-deletion');
    await project.checkKey();
    expect((await project.cluster('orders')).selfManaged.state).toBe('DISABLED');
    await project.key('enable');
    await project.write('orders', 2);
    expect(await project.written('orders')).toEqual([1, 2]);
    await project.untilMail(/usable again/);
    expect(await project.mails()).toHaveLength(2);
  });

  it('F80 a project without an owner: the operators are told what its owners would have been', async () => {
    const project = await atrest.project('F80-orphan', { owners: 0 });
    await project.createPlaced('orders', 1);
    await project.untilClusterIs('orders', 'IDLE');
    await project.key('disable');
    const mail = await project.untilMail(/operators/, { to: [OPERATOR] });
    expect(mail.recipients).toEqual([OPERATOR]);
    expect(mail.text).toMatch(/\borders\b/);
    await project.untilClusterIs('orders', 'DISABLED');

    await project.key('enable');
    await project.untilMail(/usable again/, { to: [OPERATOR] });
    expect(await project.mails([OPERATOR])).toHaveLength(2);
    await project.untilClusterIs('orders', 'IDLE');
  });
});
