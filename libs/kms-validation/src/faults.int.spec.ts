import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { KmsValidationService } from './kms-validation.service.js';
import { awsOf, MINUTE, newConfiguredProject, refusalOf, Stage, statusOf, type ConfiguredProject } from './test-support/stage.contract.js';

describe('faults of the KMS, met through the AWS SDK', () => {
  let stage: Stage;
  let service: KmsValidationService;
  let project: ConfiguredProject;

  beforeEach(async () => {
    stage = await Stage.open('kms validation faults');
    service = await stage.replica();
    project = await newConfiguredProject(stage, service);
  });
  afterEach(() => stage.close());

  const states = async (checks: number): Promise<string[]> => {
    const seen: string[] = [];
    for (let check = 0; check < checks; check += 1) {
      expect(await stage.tick(service)).toBe(1);
      seen.push((await statusOf(service, project.projectId)).state);
    }
    return seen;
  };

  it('F01 key disabled: three confirmed checks make it INVALID, and one usable check VALID again', async () => {
    stage.kms.disableKey(project.keyId);
    expect(await states(4)).toEqual(['SUSPECT', 'SUSPECT', 'INVALID', 'INVALID']);
    expect(await awsOf(service, project.projectId)).toMatchObject({ enabled: true, valid: false });
    stage.kms.enableKey(project.keyId);
    expect(await states(2)).toEqual(['VALID', 'VALID']);

    const events = await stage.events();
    expect(events.map(({ name }) => name)).toEqual(['saved', 'invalidated', 'validated']);
    const [, invalidated, validated] = events;
    expect(invalidated!.data).toMatchObject({ state: 'INVALID', resolvedKeyId: project.arn, enabled: true });
    expect(invalidated!.data.evidence).toHaveLength(3);
    for (const evidence of invalidated!.data.evidence) {
      expect(evidence).toMatchObject({ reason: 'KEY_DISABLED', errorName: 'DisabledException', httpStatus: 400, observer: 'replica-1' });
      expect(evidence.requestId).toMatch(/^[0-9a-f-]{36}$/);
      expect(evidence.message).toContain('is disabled');
    }
    expect(validated!.data).toMatchObject({ state: 'VALID', invalidSince: null, evidence: [{ verdict: 'usable' }] });
    // The clock that counts is the one of the checks: from the first definitive verdict to INVALID it took less than the window.
    const [first, , last] = invalidated!.data.evidence;
    expect(Date.parse(last!.at) - Date.parse(first!.at)).toBeLessThanOrEqual(20_000);
  });

  it('F02 pending deletion: INVALID with its own reason, VALID after the deletion is cancelled and the key enabled', async () => {
    stage.kms.scheduleKeyDeletion(project.keyId);
    expect(await states(3)).toEqual(['SUSPECT', 'SUSPECT', 'INVALID']);
    expect(await statusOf(service, project.projectId)).toMatchObject({ lastEvidence: { reason: 'KEY_PENDING_DELETION' } });
    stage.kms.cancelKeyDeletion(project.keyId);
    expect(await states(1)).toEqual(['INVALID']);
    expect(await statusOf(service, project.projectId)).toMatchObject({ lastEvidence: { reason: 'KEY_DISABLED' } });
    stage.kms.enableKey(project.keyId);
    expect(await states(1)).toEqual(['VALID']);
    expect(await stage.eventNames()).toEqual(['saved', 'invalidated', 'validated']);
  });

  it('F03 deleted: INVALID, and it stays so', async () => {
    stage.kms.destroyKey(project.keyId);
    expect(await states(4)).toEqual(['SUSPECT', 'SUSPECT', 'INVALID', 'INVALID']);
    expect(await statusOf(service, project.projectId)).toMatchObject({
      lastEvidence: { reason: 'KEY_NOT_FOUND', errorName: 'NotFoundException' },
    });
  });

  it('F04 alias moved to another key: nothing stops, somebody is told once', async () => {
    const aliased = await newConfiguredProject(stage, service, { alias: 'orders' });
    const other = stage.kms.createKey();
    stage.kms.pointAlias('orders', other.keyId);
    for (let check = 0; check < 5; check += 1) await stage.tick(service);
    expect(await statusOf(service, aliased.projectId)).toMatchObject({ state: 'VALID', resolvedKeyId: aliased.arn });
    const events = await stage.events(aliased.projectId);
    expect(events.map(({ name }) => name)).toEqual(['saved', 'attention-needed']);
    expect(events[1]!.data.attention).toMatchObject({ kind: 'ALIAS_MOVED' });
    expect(events[1]!.data.attention!.detail).toContain(other.arn);
  });

  it('F04 alias re-created on a new key while the old key is gone: found out, although the alias itself wraps and unwraps', async () => {
    const aliased = await newConfiguredProject(stage, service, { alias: 'orders' });
    stage.kms.destroyKey(aliased.keyId);
    stage.kms.pointAlias('orders', stage.kms.createKey().keyId);
    for (let check = 0; check < 3; check += 1) await stage.tick(service);
    expect(await statusOf(service, aliased.projectId)).toMatchObject({ state: 'INVALID', lastEvidence: { reason: 'KEY_NOT_FOUND' } });
    expect(await stage.eventNames(aliased.projectId)).toEqual(['saved', 'invalidated']);
    expect(await statusOf(service, project.projectId)).toMatchObject({ state: 'VALID' });
  });

  it('F05 permission to decrypt removed: INVALID although the key can still be described; permission to encrypt alone: only a word', async () => {
    const denial = stage.kms.deny({ keyId: project.keyId, operations: ['Decrypt'] });
    expect(await states(3)).toEqual(['SUSPECT', 'SUSPECT', 'INVALID']);
    expect(await statusOf(service, project.projectId)).toMatchObject({ lastEvidence: { reason: 'ACCESS_DENIED' } });
    stage.kms.allow(denial.id);
    stage.kms.deny({ keyId: project.keyId, operations: ['DescribeKey', 'Encrypt'] });
    expect(await states(1)).toEqual(['VALID']);
    // A fresh wrap is due once a day.
    stage.clock.advance(86_400_000);
    expect(await states(2)).toEqual(['VALID', 'VALID']);
    const events = await stage.events();
    expect(events.map(({ name }) => name)).toEqual(['saved', 'invalidated', 'validated', 'attention-needed']);
    expect(events.at(-1)!.data.attention).toMatchObject({ kind: 'WRAP_REFUSED' });
  });

  it('F06 credentials revoked: INVALID, and new credentials for the same key repair it at once', async () => {
    stage.kms.deleteAccessKey(project.credentials.accessKeyId);
    expect(await states(3)).toEqual(['SUSPECT', 'SUSPECT', 'INVALID']);
    expect(await statusOf(service, project.projectId)).toMatchObject({ lastEvidence: { reason: 'CREDENTIALS_INVALID' } });

    const renewed = stage.kms.createAccessKey();
    const outcome = await service.useCases.change(project.projectId, {
      awsKms: { accessKeyID: renewed.accessKeyId, secretAccessKey: renewed.secretAccessKey },
    });
    expect(outcome).toMatchObject({
      kind: 'done',
      value: { awsKms: { valid: true, accessKeyID: renewed.accessKeyId, customerMasterKeyID: project.keyId } },
    });
    expect(await stage.eventNames()).toEqual(['saved', 'invalidated', 'saved', 'validated']);
    expect(await states(2)).toEqual(['VALID', 'VALID']);
  });

  it('F11 a captive portal answers 200 with a web page: nothing stops, somebody is told', async () => {
    stage.kms.inject({ kind: 'web-page' });
    expect(await states(4)).toEqual(['VALID', 'VALID', 'VALID', 'VALID']);
    expect(await stage.eventNames()).toEqual(['saved', 'attention-needed']);
  });

  it('F13 a key that is disabled at each other check is never INVALID', async () => {
    for (let round = 0; round < 10; round += 1) {
      stage.kms.disableKey(project.keyId);
      expect(await states(1)).toEqual(['SUSPECT']);
      stage.kms.enableKey(project.keyId);
      expect(await states(1)).toEqual(['VALID']);
    }
    expect(await stage.eventNames()).toEqual(['saved']);
  });

  it('F07 what can never be the key is refused when it is saved: another region, another account, a key for signatures; the present one stays', async () => {
    const present = await awsOf(service, project.projectId);
    const asymmetric = stage.kms.createKey({ keySpec: 'RSA_2048', keyUsage: 'SIGN_VERIFY' });
    for (const [change, reason] of [
      [{ region: 'EU_WEST_1' }, 'KEY_NOT_FOUND'],
      [{ customerMasterKeyID: project.arn.replace(stage.kms.accountId, '999988887777') }, 'ACCESS_DENIED'],
      [{ customerMasterKeyID: asymmetric.keyId }, 'KEY_USAGE_WRONG'],
    ] as const) {
      expect(refusalOf(await service.useCases.change(project.projectId, { awsKms: change })).parameters).toEqual([reason]);
    }
    expect(await awsOf(service, project.projectId)).toEqual(present);
    expect(await states(1)).toEqual(['VALID']);
    expect(await stage.eventNames()).toEqual(['saved']);
  });

  it('F14 two endpoints disagree for three minutes: each usable answer ends the suspicion, nothing stops and nobody is told', async () => {
    // Behind the balancer is one replica that has not heard of the key yet: each other request meets it.
    const until = stage.clock.now().getTime() + 3 * MINUTE;
    let asked = 0;
    const seen = new Set<string>();
    while (stage.clock.now().getTime() < until) {
      stage.kms.clearFaults();
      asked += 1;
      if (asked % 2 === 1)
        stage.kms.inject({ kind: 'error', status: 400, name: 'NotFoundException', message: 'unknown here', operations: ['Decrypt'] });
      for (const state of await states(1)) seen.add(state);
    }
    expect(seen).toEqual(new Set(['SUSPECT', 'VALID']));
    stage.kms.clearFaults();
    expect(await states(2)).toEqual(['VALID', 'VALID']);
    expect(await stage.eventNames()).toEqual(['saved']);
  });

  it('F15 the KMS reports success but gives other bytes back: INVALID', async () => {
    stage.kms.inject({ kind: 'wrong-plaintext' });
    expect(await states(3)).toEqual(['SUSPECT', 'SUSPECT', 'INVALID']);
    expect(await statusOf(service, project.projectId)).toMatchObject({ lastEvidence: { reason: 'CANARY_DIFFERS' } });
  });

  it.each([
    ['behind', -6 * 3_600_000],
    ['ahead', 6 * 3_600_000],
  ])('F16 clock skew: signatures refused because the clocks differ (KMS %s) are no revocation', async (_, offsetMs) => {
    stage.kms.inject({ kind: 'clock-skew', offsetMs, hideDate: true });
    expect(await states(10)).toEqual(Array.from({ length: 10 }, () => 'VALID'));
    expect(await statusOf(service, project.projectId)).toMatchObject({ lastEvidence: { verdict: 'transient', reason: 'CLOCK_SKEW' } });
    stage.kms.clearFaults();
    expect(await states(1)).toEqual(['VALID']);
    expect(await stage.eventNames()).toEqual(['saved', 'became-unreachable', 'became-reachable']);
  });

  it('F17 the account is suspended: definitive like any lost access, INVALID with its reason, and VALID when it is paid again', async () => {
    const message = 'The AWS Access Key Id needs a subscription for the service';
    stage.kms.inject({ kind: 'error', status: 403, name: 'OptInRequired', message });
    expect(await states(3)).toEqual(['SUSPECT', 'SUSPECT', 'INVALID']);
    expect(await statusOf(service, project.projectId)).toMatchObject({
      lastEvidence: { reason: 'CREDENTIALS_INVALID', errorName: 'OptInRequired' },
    });
    stage.kms.clearFaults();
    expect(await states(1)).toEqual(['VALID']);
    expect(await stage.eventNames()).toEqual(['saved', 'invalidated', 'validated']);
  });

  it('F19 the region of a replica key is lost while the primary lives: transient for as long as it lasts, nothing stops', async () => {
    const { arn } = stage.kms.createKey({ region: 'eu-west-1' });
    const replica = await newConfiguredProject(stage, service, { customerMasterKeyID: arn, region: 'EU_WEST_1' });
    stage.kms.inject({ kind: 'error', status: 503, keyId: arn });
    const until = stage.clock.now().getTime() + 10 * MINUTE;
    while (stage.clock.now().getTime() < until) await stage.tick(service);
    expect(await statusOf(service, replica.projectId)).toMatchObject({
      state: 'VALID',
      unreachableSince: expect.any(String),
      lastEvidence: { verdict: 'transient', reason: 'PROVIDER_ERROR' },
    });
    expect(await statusOf(service, project.projectId)).toMatchObject({ state: 'VALID', unreachableSince: null });
    stage.kms.clearFaults();
    await stage.tick(service);
    await stage.tick(service);
    expect(await stage.eventNames(replica.projectId)).toEqual(['saved', 'became-unreachable', 'became-reachable']);
    expect(await stage.eventNames(project.projectId)).toEqual(['saved']);
  });
});
